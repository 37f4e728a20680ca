"""The confusions that are told of emotional speech most often, as they really are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

import numpy as np

from training.corpora import CORPUS_LABELS, LABELS
from training.figures import restricted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.corpora import Clip

PAIRS: Final = (("fear", "surprise"), ("surprise", "fear"), ("neutral", "sad"), ("sad", "neutral"))
"""An emotion, and what it is taken for."""


class Confusion(TypedDict):
    """How often one emotion is taken for another, where the clip's corpus has both.

    Attributes:
        emotion: that was acted.
        taken_for: that was heard.
        clips: of the emotion, in these corpora.
        mistaken: clips that were taken for another emotion, whichever.
        confused: clips that were taken for this one.
        commonest: what the emotion is taken for most often when it is mistaken; None where it never is.
    """

    emotion: str
    taken_for: str
    clips: int
    mistaken: int
    confused: int
    commonest: str | None


def confusions(logits: NDArray[np.float64], clips: Sequence[Clip]) -> list[Confusion]:
    """Count ``PAIRS``, where each clip gets one of its own corpus's labels.

    Args:
        logits: shape ``(clips, 7 or more)``.
        clips: what was classified.
    """
    given = restricted(logits, clips).argmax(axis=1)
    return [_confusion(given, clips, *pair) for pair in PAIRS]


def _confusion(given: NDArray[np.int64], clips: Sequence[Clip], emotion: str, taken_for: str) -> Confusion:
    rows = [
        row
        for row, clip in enumerate(clips)
        if clip.emotion == emotion and taken_for in CORPUS_LABELS[clip.corpus]
    ]
    counts = np.bincount(given[rows], minlength=len(LABELS))
    counts[LABELS.index(emotion)] = 0
    return {
        "emotion": emotion,
        "taken_for": taken_for,
        "clips": len(rows),
        "mistaken": int(counts.sum()),
        "confused": int(counts[LABELS.index(taken_for)]),
        "commonest": LABELS[int(counts.argmax())] if counts.any() else None,
    }
