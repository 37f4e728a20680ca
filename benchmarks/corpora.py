"""Where the benchmarks find speech and noise, and how they read it."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser_agent.audio_files import stream_file

if TYPE_CHECKING:
    from ser_agent.audio import Samples

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "corpora"
HUMAN_NOISES = frozenset({"sneezing", "coughing", "clapping", "drinking-sipping", "brushing-teeth", "cafe-babble"})
"""Classes of the noise set that people make; all but ``cafe-babble`` hold no voice."""


@dataclass(frozen=True, slots=True)
class SpeechClip:
    """One emotional clip.

    Attributes:
        path: its file.
        corpus: its corpus.
        speaker: unique within the corpus.
        emotion: its label.
        split: ``dev`` speakers are never trained on.
    """

    path: Path
    corpus: str
    speaker: str
    emotion: str
    split: str


@dataclass(frozen=True, slots=True)
class NoiseClip:
    """One noise.

    Attributes:
        path: its file.
        kind: its class.
    """

    path: Path
    kind: str


def speech_clips(split: str = "dev") -> list[SpeechClip]:
    """The emotional clips of a split, in the manifest's order."""
    return [
        SpeechClip(CORPORA / row["path"], row["corpus"], row["speaker"], row["emotion"], row["split"])
        for row in _rows(CORPORA / "manifest.csv")
        if row["split"] == split
    ]


def noise_clips() -> list[NoiseClip]:
    """All noises."""
    folder = CORPORA / "noise"
    return [NoiseClip(folder / row["path"], row["class"]) for row in _rows(folder / "manifest.csv")]


def read(path: Path) -> Samples:
    """A whole file: int16 mono 16 kHz."""
    return np.concatenate(list(stream_file(path)))


def _rows(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
