"""Everything that an experiment hears: the published corpora and the users' own."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from training.corpora.clips import NON_SPEECH, CorpusError, is_non_commercial
from training.corpora.manifest import (
    NOISE,
    PLAIN_SPEECH,
    ROOMS,
    hold_out,
    read_manifest,
    read_noise_clips,
    read_noises,
    read_plain_speech,
    read_rooms,
)
from training.corpora.own import read_own

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.corpora.clips import Clip
    from training.settings import Settings

Kind: TypeAlias = Literal["speech", "noise", "room"]
Edges: TypeAlias = Literal["level", "silero"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of sound that is to be decoded.

    Attributes:
        path: relative to the folder of the corpora, or absolute where it lies elsewhere.
        kind: ``speech`` is everything that only clips need.
        group: its corpus, class of noise or room.
        licence: empty where unknown.
        edges: how its speech is found: by level in what is trained on, and in the ``dev`` speakers' clips by
            Silero's detector, which the agent uses too but which takes far longer.
    """

    path: str
    kind: Kind
    group: str
    licence: str
    edges: Edges


def read_clips(settings: Settings, data: Sequence[Path] = ()) -> list[Clip]:
    """List the clips that an experiment uses, each in its part.

    Those are the published corpora named in ``use``, without what is for non-commercial use only where
    ``commercial`` asks for that, and all own clips.

    Args:
        settings: of the experiment.
        data: own folders and CSV files, besides those of the settings.

    Raises:
        CorpusError: something is wrong with the own clips, a speaker to hold out is unknown, or there is nothing.
    """
    published = _published(settings, own=bool(data or settings.data))
    own = read_own([*settings.data_paths, *data], settings.label_map)
    if published:
        clips = hold_out(published + own, settings.held_out, "held_out")
    else:
        of_own = {clip.corpus for clip in own}
        clips = hold_out(own, {k: v for k, v in settings.held_out.items() if k in of_own}, "held_out")
    unused = {clip.corpus for clip in published} - set(settings.use)
    return [
        clip
        for clip in clips
        if clip.corpus not in unused and not (settings.commercial and is_non_commercial(clip.licence))
    ]


def recordings(settings: Settings) -> list[Recording]:
    """List every file that an experiment could need, whatever it uses: rooms, noise, speech.

    Raises:
        CorpusError: something is wrong with the own clips, or there is nothing.
    """
    folder = settings.corpora_folder
    published = _published(settings, own=bool(settings.data))
    found: list[Recording] = []
    if published and _has(folder, ROOMS):
        found += [Recording(room.path, "room", room.room, room.licence, "level") for room in read_rooms(folder)]
    if published and _has(folder, NOISE):
        noises = read_noises(folder)
        found += [Recording(noise.path, "noise", noise.noise_class, noise.licence, "level") for noise in noises]
    clips = published + read_own(settings.data_paths, settings.label_map)
    known = {recording.path for recording in found}
    return found + [
        Recording(clip.path, "speech", clip.corpus, clip.licence, _edges(clip))
        for clip in clips
        if clip.path not in known
    ]


def _has(folder: Path, name: str) -> bool:
    return (folder / name / "manifest.csv").exists()


def _edges(clip: Clip) -> Edges:
    return "silero" if clip.part == "dev" and clip.emotion != NON_SPEECH else "level"


def _published(settings: Settings, *, own: bool) -> list[Clip]:
    """All clips of the published corpora; none where these are not here and there are own ones."""
    folder = settings.corpora_folder
    manifest = folder / "manifest.csv"
    if manifest.exists():
        clips = read_manifest(folder, {})
        for name, read in ((PLAIN_SPEECH, read_plain_speech), (NOISE, read_noise_clips)):
            if name in settings.use or _has(folder, name):
                clips += read(folder)
        return clips
    if not own:
        raise CorpusError(f"{manifest}: is not there; say where the corpora are by --corpora, or name --data")
    if settings.use:
        log.warning("%s: is not there, so there are your own clips alone, and no noise and no rooms", manifest)
    return []
