"""Calibration on the held-out speakers: temperature (Guo et al., 2017), and what counts as uncertain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from scipy.special import log_softmax, softmax  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BOUNDS = (np.log(0.2), np.log(5.0))


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """Find what to divide logits by so that their probabilities surprise least.

    Args:
        logits: shape ``(clips, labels)``.
        labels: shape ``(clips,)``.
        weights: of the clips, shape ``(clips,)``, summing to 1.

    Returns:
        A temperature of 0.2 to 5.
    """
    rows = np.arange(len(labels))

    def surprisal(log_temperature: float) -> float:
        scores = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(np.sum(weights * scores[rows, labels]))

    return float(np.exp(minimize_scalar(surprisal, bounds=_BOUNDS, method="bounded").x))


def fit_threshold(logits: NDArray[np.float64], weights: NDArray[np.float64], coverage: float) -> float:
    """Find the confidence under which an answer counts as uncertain.

    Args:
        logits: calibrated, shape ``(clips, labels)``.
        weights: of the clips, shape ``(clips,)``, summing to 1.
        coverage: share of the clips that shall be above it.
    """
    confidence = softmax(logits, axis=1).max(axis=1)
    order = np.argsort(confidence)
    return float(confidence[order][np.searchsorted(np.cumsum(weights[order]), 1.0 - coverage)])
