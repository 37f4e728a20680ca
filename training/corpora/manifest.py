"""The published corpora: acted emotion, plain speech, noise and rooms, each described by a ``manifest.csv``."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from training.corpora.clips import CORPUS_LABELS, NON_SPEECH, Clip, CorpusError
from training.splits import is_dev_noise, is_dev_plain_speaker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

PLAIN_SPEECH: Final = "plain-speech"
NOISE: Final = "noise"
ROOMS: Final = "rir"

_EMOTION_COLUMNS: Final = ("path", "corpus", "speaker", "emotion", "lang", "split")
_MERGED: Final = {"calm": "neutral"}
_LICENCES: Final = {"crema-d": "ODbL-1.0", "ravdess": "CC-BY-NC-SA-4.0", "nemo": "CC-BY-NC-SA-4.0"}
_PLAIN_LICENCE: Final = "CC-BY-4.0"
_WITH_VOICES: Final = frozenset({"cafe-babble"})
_NO_HOMES: Final = frozenset({"warehouse"})


@dataclass(frozen=True, slots=True)
class Noise:
    """One recording without intelligible speech.

    Attributes:
        path: relative to the folder of the corpora.
        noise_class: what is heard; recordings of one class are all for one part.
        licence: of the recording.
    """

    path: str
    noise_class: str
    licence: str

    @property
    def part(self) -> Literal["train", "dev"]:
        """What it is for."""
        return "dev" if is_dev_noise(self.noise_class) else "train"


@dataclass(frozen=True, slots=True)
class Room:
    """The impulse response of a room in a home or an office.

    Attributes:
        path: relative to the folder of the corpora.
        room: where it was measured.
        licence: of the recording.
    """

    path: str
    room: str
    licence: str


def read_manifest(folder: Path, held_out: Mapping[str, Sequence[str]]) -> list[Clip]:
    """List all clips of acted emotion in the manifest's order.

    Args:
        folder: has ``manifest.csv``.
        held_out: speakers of the train split to hold out, by corpus.

    Raises:
        CorpusError: the manifest is not there, a speaker to hold out is not in its train split, or a corpus or a
            label is unknown.
    """
    clips = [_clip(row, where) for where, row in _rows(folder, _EMOTION_COLUMNS)]
    return hold_out(clips, held_out, str(folder / "manifest.csv"))


def read_plain_speech(folder: Path) -> list[Clip]:
    """List read, un-acted speech, as ``neutral``: that is an assumption, since readers do act now and then.

    Args:
        folder: of the corpora.

    Raises:
        CorpusError: its manifest is not there.
    """
    return [
        Clip(
            path=f"{PLAIN_SPEECH}/{row['path']}",
            corpus=PLAIN_SPEECH,
            speaker=row["speaker"],
            emotion="neutral",
            part="dev" if is_dev_plain_speaker(row["speaker"]) else "train",
            lang="en",
            licence=_PLAIN_LICENCE,
        )
        for _, row in _rows(folder / PLAIN_SPEECH, ("path", "speaker"))
    ]


def read_noises(folder: Path) -> list[Noise]:
    """List recordings of noise, human sounds such as coughs among them.

    Args:
        folder: of the corpora.

    Raises:
        CorpusError: their manifest is not there.
    """
    rows = _rows(folder / NOISE, ("path", "class", "licence"))
    return [Noise(f"{NOISE}/{row['path']}", row["class"], row["licence"]) for _, row in rows]


def read_noise_clips(folder: Path) -> list[Clip]:
    """List noises as clips that are labelled so; those with voices in the background are left out."""
    return [
        Clip(
            path=noise.path,
            corpus=NOISE,
            speaker=noise.noise_class,
            emotion=NON_SPEECH,
            part=noise.part,
            licence=noise.licence,
        )
        for noise in read_noises(folder)
        if noise.noise_class not in _WITH_VOICES
    ]


def read_rooms(folder: Path) -> list[Room]:
    """List the responses of homes and offices.

    Args:
        folder: of the corpora.

    Raises:
        CorpusError: their manifest is not there.
    """
    rows = _rows(folder / ROOMS, ("path", "room", "licence"))
    return [
        Room(f"{ROOMS}/{row['path']}", row["room"], row["licence"])
        for _, row in rows
        if row["room"] not in _NO_HOMES
    ]


def hold_out(clips: Iterable[Clip], held_out: Mapping[str, Sequence[str]], where: str) -> list[Clip]:
    """Take speakers out of the train part, to choose by them.

    Args:
        clips: of all corpora.
        held_out: speakers by corpus.
        where: the clips are from, for the message.

    Raises:
        CorpusError: one of them is not in the train part.
    """
    clips = list(clips)
    held = {(corpus, speaker) for corpus, speakers in held_out.items() for speaker in speakers}
    if strangers := held - {(clip.corpus, clip.speaker) for clip in clips if clip.part == "train"}:
        raise CorpusError(f"{where}: not in the train split, so not to hold out: {sorted(strangers)}")
    return [replace(clip, part="held") if (clip.corpus, clip.speaker) in held else clip for clip in clips]


def _rows(folder: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The manifest's rows, each with file and line for a message."""
    path = folder / "manifest.csv"
    if not path.exists():
        raise CorpusError(f"{path}: is not there")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
            raise CorpusError(f"{path}:1: lacks the columns {', '.join(missing)}")
        for row in reader:
            yield f"{path}:{reader.line_num}", row


def _clip(row: Mapping[str, str], where: str) -> Clip:
    corpus, emotion = row["corpus"], _MERGED.get(row["emotion"], row["emotion"])
    if corpus not in CORPUS_LABELS:
        raise CorpusError(f"{where}: corpus: {corpus!r} is none of {', '.join(CORPUS_LABELS)}")
    if emotion not in CORPUS_LABELS[corpus]:
        raise CorpusError(f"{where}: emotion: {corpus} has no label {emotion!r}")
    return Clip(
        path=row["path"],
        corpus=corpus,
        speaker=row["speaker"],
        emotion=emotion,
        part="dev" if row["split"] == "dev" else "train",
        lang=row["lang"],
        licence=_LICENCES[corpus],
        choices=(*CORPUS_LABELS[corpus], NON_SPEECH),
    )
