"""The labelled clips: who speaks, with which emotion, and which speakers are for what."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

Part: TypeAlias = Literal["train", "held", "dev"]

LABELS: Final = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""What the model tells apart, in the order of its outputs."""

CORPUS_LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "crema-d": ("angry", "disgust", "fear", "happy", "neutral", "sad"),
    "ravdess": LABELS,
    "nemo": ("angry", "fear", "happy", "neutral", "sad", "surprise"),
}
"""The labels that each corpus has at all."""

_MERGED: Final = {"calm": "neutral"}


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled recording.

    Attributes:
        path: relative to the folder of the corpora.
        corpus: one of ``CORPUS_LABELS``.
        speaker: unique within the corpus.
        emotion: one of ``LABELS``.
        part: what the speaker is for: ``train``; ``held`` chooses the checkpoint and the temperature; ``dev`` is
            for the final figures alone.
    """

    path: str
    corpus: str
    speaker: str
    emotion: str
    part: Part

    @property
    def label(self) -> int:
        """Index of the emotion in ``LABELS``."""
        return LABELS.index(self.emotion)


def read_manifest(folder: Path, held_out: Mapping[str, Sequence[str]]) -> list[Clip]:
    """List all clips in the manifest's order.

    Args:
        folder: has ``manifest.csv``.
        held_out: speakers of the train split to hold out, by corpus.

    Raises:
        ValueError: a speaker to hold out is not in the train split, or a label is unknown.
    """
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    known = {(row["corpus"], row["speaker"]) for row in rows if row["split"] == "train"}
    held = {(corpus, speaker) for corpus, speakers in held_out.items() for speaker in speakers}
    if strangers := held - known:
        raise ValueError(
            f"{folder / 'manifest.csv'}: not in the train split, so not to hold out: {sorted(strangers)}"
        )
    return [_clip(row, held) for row in rows]


def _clip(row: Mapping[str, str], held: set[tuple[str, str]]) -> Clip:
    emotion = _MERGED.get(row["emotion"], row["emotion"])
    corpus = row["corpus"]
    if emotion not in CORPUS_LABELS[corpus]:
        raise ValueError(f"{row['path']}: {corpus} has no label {emotion!r}")
    part: Part = "dev" if row["split"] == "dev" else "train"
    if (corpus, row["speaker"]) in held:
        part = "held"
    return Clip(row["path"], corpus, row["speaker"], emotion, part)


def allowed_labels(corpus: str) -> list[bool]:
    """Say for each of ``LABELS`` whether the corpus has it."""
    return [label in CORPUS_LABELS[corpus] for label in LABELS]


def sampling_weights(clips: Iterable[Clip]) -> list[float]:
    """Weigh clips so that corpora, and within each corpus its labels, are drawn equally often.

    Returns:
        One weight for each clip; they sum to 1.
    """
    keys = [(clip.corpus, clip.emotion) for clip in clips]
    counts = {key: keys.count(key) for key in set(keys)}
    labels_of = {corpus: sum(key[0] == corpus for key in counts) for corpus in {key[0] for key in counts}}
    return [1.0 / (len(labels_of) * labels_of[key[0]] * counts[key]) for key in keys]
