"""Decoded sound on disk: every recording as int16 at 16 kHz in one file that is mapped into memory."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ser_agent.audio import FULL_SCALE, SAMPLE_RATE, Samples
from training.corpora import CorpusError
from training.corpora.clips import is_non_commercial
from training.splits import is_dev_noise, is_dev_room

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from training.corpora import Clip
    from training.corpora.reading import Edges, Kind

log = logging.getLogger(__name__)

Floats: TypeAlias = NDArray[np.float32]

SAMPLES_FILE = "samples.i16"
INDEX_FILE = "index.jsonl"
"""A line for each recording, in the order in which they were decoded; of two for one path the later counts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording, where it lies in the file of samples, and where in it there is speech.

    Attributes:
        path: as in ``training.corpora.Recording``; so are ``kind``, ``group``, ``licence`` and ``edges``.
        size: of the file, in bytes.
        modified_ns: when the file was last changed.
        offset: of its first sample.
        length: in samples.
        speech_start: the first sample of its speech, counted from the recording's first.
        speech_end: the one behind its last.
    """

    path: str
    kind: Kind
    group: str
    licence: str
    edges: Edges
    size: int
    modified_ns: int
    offset: int
    length: int
    speech_start: int
    speech_end: int


class Cache:
    """Reads what ``python -m training cache`` wrote.

    Args:
        folder: of the cache.

    Raises:
        CorpusError: there is no cache yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries, self._broken = read_index(folder)
        if not self._entries:
            raise CorpusError(f"{folder}: holds no decoded sound; run `python -m training cache` first")
        self._samples: Samples = np.memmap(folder / SAMPLES_FILE, dtype=np.int16, mode="r")

    def usable(self, clips: Iterable[Clip]) -> list[Clip]:
        """Leave out the clips that could not be decoded, and say how many there are.

        Raises:
            CorpusError: some are not in the cache.
        """
        clips = list(clips)
        lacking = [clip.path for clip in clips if clip.path not in self._entries]
        if unknown := [path for path in lacking if path not in self._broken]:
            raise CorpusError(
                f"{self._folder}: {len(unknown)} of {len(clips)} clips are not in it, {unknown[0]} for one; "
                "run `python -m training cache` with the same --data"
            )
        if lacking:
            log.warning("%d of %d clips could not be decoded and are left out", len(lacking), len(clips))
        return [clip for clip in clips if clip.path in self._entries]

    def whole(self, clip: Clip) -> Samples:
        """Give a clip's samples: int16, shape ``(n,)``.

        Raises:
            CorpusError: it is not in the cache.
        """
        return self._stretch(self._entry(clip))

    def trimmed(self, clip: Clip, preroll_s: float = 0.3, postroll_s: float = 0.2) -> Samples:
        """Give a clip from a moment before its speech to a moment behind it, as the agent's segmenter does.

        Args:
            clip: which one.
            preroll_s: seconds kept before the speech, where the clip has them.
            postroll_s: seconds kept behind the speech, likewise.

        Returns:
            int16, shape ``(n,)``.

        Raises:
            CorpusError: it is not in the cache.
        """
        entry = self._entry(clip)
        start = max(0, entry.speech_start - round(preroll_s * SAMPLE_RATE))
        end = min(entry.length, entry.speech_end + round(postroll_s * SAMPLE_RATE))
        return self._stretch(entry)[start:end]

    def noises(self, part: Literal["train", "dev"], *, non_commercial: bool = False) -> list[Samples]:
        """Give the recordings of noise that are for a part, in the order of their paths.

        Args:
            part: whether for training or for the final figures.
            non_commercial: also those whose licence excludes commercial use.

        Returns:
            int16, shape ``(n,)`` each.
        """
        return [
            self._stretch(entry)
            for entry in self._of_kind("noise")
            if is_dev_noise(entry.group) == (part == "dev")
            and (non_commercial or not is_non_commercial(entry.licence))
        ]

    def rooms(self, part: Literal["train", "dev"]) -> list[Floats]:
        """Give the rooms' impulse responses, each from its direct sound on, whose peak is 1.

        Args:
            part: whether for training or for the final figures.

        Returns:
            float32, shape ``(n,)`` each, in the order of their paths.
        """
        entries = [entry for entry in self._of_kind("room") if is_dev_room(entry.group) == (part == "dev")]
        return [_from_direct_sound(self._stretch(entry)) for entry in entries]

    def _of_kind(self, kind: Kind) -> list[Entry]:
        return [self._entries[path] for path in sorted(self._entries) if self._entries[path].kind == kind]

    def _entry(self, clip: Clip) -> Entry:
        try:
            return self._entries[clip.path]
        except KeyError:
            raise CorpusError(
                f"{self._folder}: {clip.path} is not in it; run `python -m training cache` with the same --data"
            ) from None

    def _stretch(self, entry: Entry) -> Samples:
        return self._samples[entry.offset : entry.offset + entry.length]


def read_index(folder: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Read what a cache holds.

    Lines that were not written to their end, and those that point behind the end of the samples, are ignored: that
    is how an interruption leaves them.

    Args:
        folder: of the cache.

    Returns:
        The entries by path, and for what could not be decoded the reasons by path.
    """
    entries: dict[str, Entry] = {}
    broken: dict[str, str] = {}
    index, samples = folder / INDEX_FILE, folder / SAMPLES_FILE
    if not index.exists() or not samples.exists():
        return entries, broken
    available = samples.stat().st_size // np.dtype(np.int16).itemsize
    *lines, _unfinished = index.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        found = _read_line(line, f"{index}:{number}")
        if isinstance(found, Entry):
            broken.pop(found.path, None)
            if found.offset + found.length <= available:
                entries[found.path] = found
        else:
            entries.pop(found["path"], None)
            broken[found["path"]] = found["error"]
    return entries, broken


def _read_line(line: str, where: str) -> Entry | dict[str, str]:
    """An entry, or the path and the error of what could not be decoded."""
    try:
        values: dict[str, Any] = json.loads(line)
        return {key: values[key] for key in ("path", "error")} if "error" in values else Entry(**values)
    except (ValueError, TypeError, KeyError) as error:
        raise CorpusError(f"{where}: is damaged: {error}; delete the cache's folder, and build it anew") from error


def _from_direct_sound(response: Samples) -> Floats:
    found = response.astype(np.float32) / FULL_SCALE
    peak = int(np.abs(found).argmax())
    return np.asarray(found[peak:] / abs(found[peak]), dtype=np.float32)
