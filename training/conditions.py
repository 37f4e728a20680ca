"""What a checkpoint is judged on: the ``dev`` speakers' clips in several conditions, plain speech, and noise.

Nothing here is drawn by chance anew: the same clips get the same noise and the same room at every call.
"""

from __future__ import annotations

import csv
import hashlib
import json
import zlib
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from ser_agent.audio import FULL_SCALE, SAMPLE_RATE, float_from_pcm16
from training.cache import Cache
from training.corpora import read_manifest
from training.decoding import decode
from training.effects import in_room, with_noise
from training.endpoints import agent_utterances
from training.splits import is_dev_noise, is_dev_plain_speaker, is_dev_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ser_agent.audio import Samples
    from training.cache import Floats
    from training.corpora import Clip
    from training.settings import Settings

Item = TypeVar("Item")

CLIP_CONDITIONS: Final = ("whole", "trimmed")
"""Clips as the corpora have them, and cut to 0.3 s before and 0.2 s behind their speech, as the agent does."""
SNRS_DB: Final = (20, 10, 5, 0)
"""Signal-to-noise ratios of the noisy conditions, over the whole clip."""
DISTURBED: Final = (*(f"noise-{snr_db}" for snr_db in SNRS_DB), "room")
"""The conditions that are ``trimmed`` with something added."""
PER_LABEL: Final = 60
"""Clips of each label and corpus, at most, in noise and in rooms."""
_PIECE_SAMPLES: Final = 5 * SAMPLE_RATE
_SHORTEST_PIECE_SAMPLES: Final = SAMPLE_RATE // 2
_PROBES: Final = 4
_NOISES_PER_TRAINED_CLASS: Final = 4


@dataclass(frozen=True, slots=True)
class Condition:
    """Sounds to classify.

    Attributes:
        name: of the condition.
        ids: of the sounds: a clip's path in the corpora's folder, with ``@FIRST-LAST`` behind it where the sound
            is but those samples of it.
        sound: gives the one with this index: float32, shape ``(n,)``, at 16 kHz.
        recordings: that the sounds were looked for in, those without any included.
    """

    name: str
    ids: tuple[str, ...]
    sound: Callable[[int], Floats]
    recordings: tuple[str, ...]

    def fingerprint(self) -> str:
        """Tell these sounds apart from others of the same ids, by all ids and a few of the sounds."""
        digest = hashlib.sha256(json.dumps([self.ids, self.recordings]).encode())
        for row in spread(range(len(self.ids)), _PROBES):
            digest.update(self.sound(row).tobytes())
        return digest.hexdigest()


def conditions(settings: Settings, limit: int | None = None) -> Iterator[Condition]:
    """Give all conditions, those on the speakers' clips first.

    ``whole``: clips as the corpora have them. ``trimmed``: cut as the agent does. ``noise-20`` to ``noise-0``, in
    dB: ``trimmed`` with household noise of classes never trained on. ``room``: ``trimmed`` in a real room never
    trained on. ``shouts``: the utterances that the agent's segmenter finds in angry and fearful clips. ``plain``:
    those in plain speech of readers never trained on. ``noise``: noise without speech, in pieces of 5 s at most.
    ``noise-utterances``: what the segmenter takes for utterances in it.

    Args:
        settings: where everything is.
        limit: recordings of each condition, spread evenly; all of them where it is None.
    """
    clips, corpora = spread(dev_clips(settings), limit), settings.corpora_folder
    surroundings = _Surroundings(Cache(settings.cache_folder), corpora)
    yield _of_clips("whole", clips, surroundings.whole)
    yield _of_clips("trimmed", clips, surroundings.trimmed)
    chosen = balanced_subset(clips)
    for snr_db in SNRS_DB:
        yield _of_clips(f"noise-{snr_db}", chosen, partial(surroundings.noisy, snr_db=snr_db))
    yield _of_clips("room", chosen, surroundings.roomy)
    shouts = [clip.path for clip in clips if clip.emotion in {"angry", "fear"}]
    yield _of_utterances("shouts", settings, shouts)
    yield _of_utterances("plain", settings, spread(list(plain_recordings(corpora)), limit))
    noises = spread(list(judged_noises(corpora)), limit)
    yield _of_pieces("noise", corpora, noises)
    yield _of_utterances("noise-utterances", settings, noises)


def spread(items: Sequence[Item], limit: int | None) -> Sequence[Item]:
    """Take so many items at most, evenly spread."""
    if limit is None or len(items) <= limit:
        return items
    return [items[index] for index in np.linspace(0, len(items) - 1, limit).round().astype(int)]


def dev_clips(settings: Settings) -> list[Clip]:
    """List the ``dev`` speakers' clips."""
    return [clip for clip in read_manifest(settings.corpora_folder, settings.held_out) if clip.part == "dev"]


def balanced_subset(clips: Sequence[Clip]) -> list[Clip]:
    """Choose up to ``PER_LABEL`` clips of each corpus and label, by a hash of their paths."""
    ranks: dict[tuple[str, str], int] = {}
    chosen = set()
    for clip in sorted(clips, key=lambda clip: _hash(clip.path)):
        key = (clip.corpus, clip.emotion)
        ranks[key] = ranks.get(key, 0) + 1
        if ranks[key] <= PER_LABEL:
            chosen.add(clip.path)
    return [clip for clip in clips if clip.path in chosen]


def plain_recordings(corpora: Path) -> dict[str, str]:
    """List the plain speech that is for the final figures: the speaker by the recording's name."""
    return {
        f"plain-speech/{row['path']}": row["speaker"]
        for row in _rows(corpora / "plain-speech")
        if is_dev_plain_speaker(row["speaker"])
    }


def judged_noises(corpora: Path) -> dict[str, str]:
    """List noises: the class by the recording's name.

    Of the classes that are for the final figures it is all of them; of those that may be trained on, some of each
    for comparison.
    """
    chosen: dict[str, str] = {}
    for row in sorted(_rows(corpora / "noise"), key=lambda row: _hash(row["path"])):
        of_class = sum(kind == row["class"] for kind in chosen.values())
        if is_dev_noise(row["class"]) or of_class < _NOISES_PER_TRAINED_CLASS:
            chosen[f"noise/{row['path']}"] = row["class"]
    return dict(sorted(chosen.items()))


def recording_of(sound_id: str) -> str:
    """Give the name of the recording that a sound is from."""
    return sound_id.partition("@")[0]


class _Surroundings:
    """Clips as they are, and with noises and in rooms that are for the final figures."""

    def __init__(self, heard: Cache, corpora: Path) -> None:
        self._heard = heard
        self._noises: dict[str, list[Floats]] = {}
        for row in _rows(corpora / "noise"):
            if is_dev_noise(row["class"]):
                sound = float_from_pcm16(decode(corpora / "noise" / row["path"]))
                self._noises.setdefault(row["class"], []).append(sound)
        self._rooms = [
            _from_direct_sound(corpora / "rir" / row["path"])
            for row in _rows(corpora / "rir")
            if is_dev_room(row["room"])
        ]

    def whole(self, clip: Clip) -> Floats:
        """A clip as it is."""
        return float_from_pcm16(self._heard.whole(clip))

    def trimmed(self, clip: Clip) -> Floats:
        """A clip as the agent cuts it."""
        return float_from_pcm16(self._heard.trimmed(clip))

    def noisy(self, clip: Clip, snr_db: float) -> Floats:
        """With a noise, each class as often, from a point where it is loud on, and again where it is too short."""
        sound, rng = self.trimmed(clip), np.random.default_rng(_hash(clip.path))
        of_class = self._noises[str(rng.choice(sorted(self._noises)))]
        noise = of_class[rng.integers(len(of_class))]
        loud = np.flatnonzero(np.abs(noise) > np.sqrt(np.mean(np.square(noise))))
        return with_noise(sound, np.resize(np.roll(noise, -int(rng.choice(loud))), len(sound)), snr_db)

    def roomy(self, clip: Clip) -> Floats:
        """In a room."""
        return in_room(self.trimmed(clip), self._rooms[_hash(clip.path) % len(self._rooms)])


def _from_direct_sound(path: Path) -> Floats:
    response = decode(path).astype(np.float32) / FULL_SCALE
    peak = int(np.abs(response).argmax())
    return np.asarray(response[peak:] / abs(response[peak]), dtype=np.float32)


def _of_clips(name: str, clips: Sequence[Clip], sound: Callable[[Clip], Floats]) -> Condition:
    paths = tuple(clip.path for clip in clips)
    return Condition(name, paths, lambda row: sound(clips[row]), paths)


def _of_utterances(name: str, settings: Settings, recordings: Sequence[str]) -> Condition:
    corpora, store = settings.corpora_folder, settings.cache_folder / "utterances.json"
    found = agent_utterances(corpora, recordings, store)
    spans = [(path, start, end) for path, of_path in found.items() for start, end in of_path]
    return _of_spans(name, corpora, spans, recordings)


def _of_pieces(name: str, corpora: Path, recordings: Sequence[str]) -> Condition:
    spans: list[tuple[str, int, int]] = []
    for path in recordings:
        length = len(_decoded(corpora / path))
        starts = range(0, max(1, length - _SHORTEST_PIECE_SAMPLES), _PIECE_SAMPLES)
        spans += [(path, start, min(start + _PIECE_SAMPLES, length)) for start in starts]
    return _of_spans(name, corpora, spans, recordings)


def _of_spans(
    name: str, corpora: Path, spans: Sequence[tuple[str, int, int]], recordings: Sequence[str]
) -> Condition:
    def sound(row: int) -> Floats:
        path, start, end = spans[row]
        return float_from_pcm16(_decoded(corpora / path)[start:end])

    ids = tuple(f"{path}@{start}-{end}" for path, start, end in spans)
    return Condition(name, ids, sound, tuple(recordings))


@lru_cache(maxsize=1)
def _decoded(path: Path) -> Samples:
    return decode(path)


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _hash(name: str) -> int:
    """The same number for a name at every call, unlike ``hash``."""
    return zlib.crc32(name.encode())
