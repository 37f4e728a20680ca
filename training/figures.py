"""Figures of merit, from logits and labels of one corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

import numpy as np
from scipy.special import softmax  # type: ignore[import-untyped]
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score, top_k_accuracy_score

from training.corpora import CORPUS_LABELS, LABELS, allowed_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.corpora import Clip

_RESAMPLES: Final = 2000
_BINS: Final = 15


class Figures(TypedDict):
    """How good a system is on one corpus.

    ``uar``, ``accuracy`` and ``top3`` choose among the corpus's own labels, as published figures do; the keys that
    end in ``_all_labels`` choose among all seven, as the agent does. ``uar_low`` and ``uar_high`` bound the 95 %
    interval, from a bootstrap over clips. Rows of the confusion are true labels, columns given ones.
    """

    clips: int
    uar: float
    uar_low: float
    uar_high: float
    accuracy: float
    top3: float
    uar_all_labels: float
    accuracy_all_labels: float
    top3_all_labels: float
    ece_all_labels: float
    confusion_all_labels: list[list[int]]


def figures(logits: NDArray[np.float64], labels: Sequence[int], corpus: str) -> Figures:
    """Judge logits on clips of one corpus.

    Args:
        logits: shape ``(clips, 7)``.
        labels: indices into ``LABELS``.
        corpus: whose labels the clips can have.
    """
    truth = np.asarray(labels)
    own = restricted(logits, corpus)
    given, given_of_all = own.argmax(axis=1), logits.argmax(axis=1)
    low, high = bootstrap_uar(truth, given)
    every = range(len(LABELS))
    return {
        "clips": len(truth),
        "uar": uar(truth, given),
        "uar_low": low,
        "uar_high": high,
        "accuracy": float(accuracy_score(truth, given)),
        "top3": float(top_k_accuracy_score(truth, own, k=3, labels=every)),
        "uar_all_labels": uar(truth, given_of_all),
        "accuracy_all_labels": float(accuracy_score(truth, given_of_all)),
        "top3_all_labels": float(top_k_accuracy_score(truth, logits, k=3, labels=every)),
        "ece_all_labels": expected_calibration_error(softmax(logits, axis=1), truth),
        "confusion_all_labels": confusion_matrix(truth, given_of_all, labels=every).tolist(),
    }


def restricted(logits: NDArray[np.float64], corpus: str) -> NDArray[np.float64]:
    """Put labels that the corpus lacks out of reach."""
    return np.where(np.array(allowed_labels(corpus)), logits, -1e9)


def uar(truth: NDArray[np.int64], given: NDArray[np.int64]) -> float:
    """Unweighted average recall over the labels that occur."""
    return float(recall_score(truth, given, labels=np.unique(truth), average="macro"))


def mean_uar(logits: NDArray[np.float64], clips: Sequence[Clip]) -> dict[str, float]:
    """Give the unweighted average recall of each corpus that occurs, among its own labels, and their ``mean``."""
    result = {}
    for corpus in CORPUS_LABELS:
        rows = [row for row, clip in enumerate(clips) if clip.corpus == corpus]
        if rows:
            truth = np.array([clips[row].label for row in rows])
            result[corpus] = uar(truth, restricted(logits[rows], corpus).argmax(axis=1))
    return result | {"mean": float(np.mean(list(result.values())))}


def bootstrap_uar(truth: NDArray[np.int64], given: NDArray[np.int64], seed: int = 0) -> tuple[float, float]:
    """Bound the unweighted average recall by resampling clips within each label.

    Returns:
        The 2.5th and the 97.5th percentile of 2,000 resamples.
    """
    rng = np.random.default_rng(seed)
    recalls = []
    for label in np.unique(truth):
        right = given[truth == label] == label
        recalls.append(rng.binomial(len(right), right.mean(), size=_RESAMPLES) / len(right))
    low, high = np.percentile(np.mean(recalls, axis=0), (2.5, 97.5))
    return float(low), float(high)


def expected_calibration_error(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Average distance of confidence and accuracy over 15 bins of equal width (Guo et al., 2017).

    Args:
        probabilities: shape ``(clips, labels)``.
        truth: shape ``(clips,)``.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float(np.sum(confidence[bins == index] - right[bins == index]))) for index in range(_BINS)]
    return sum(gaps) / len(truth)
