"""Calibration on the held-out speakers: temperature (Guo et al., 2017), power, and what counts as uncertain."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import minimize, minimize_scalar  # type: ignore[import-untyped]
from scipy.special import log_softmax, softmax  # type: ignore[import-untyped]

from ser_agent.classifiers.readout import bent

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

_BOUNDS = (np.log(0.2), np.log(5.0))
_POWERS = (np.log(0.25), np.log(4.0))


class Curve(NamedTuple):
    """What makes logits calibrated ones: both are 1 where they are that already."""

    temperature: float
    power: float = 1.0

    def calibrated(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrate, as the agent does: shape ``(clips, labels)``."""
        return bent(logits / self.temperature, self.power)


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    """Find what to divide logits by so that their probabilities surprise least.

    Args:
        logits: shape ``(clips, labels)``.
        labels: shape ``(clips,)``.
        weights: of the clips, shape ``(clips,)``, summing to 1.

    Returns:
        A temperature of 0.2 to 5.
    """

    def surprisal(log_temperature: float) -> float:
        return _surprisal(logits / np.exp(log_temperature), labels, weights)

    return float(np.exp(minimize_scalar(surprisal, bounds=_BOUNDS, method="bounded").x))


def choose_curve(
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    speakers: Sequence[Hashable],
) -> Curve:
    """Fit a temperature and, where it helps with people whom it was not fitted on, a power.

    Each speaker is left out in turn; what surprises least of those left out is then fitted on all.

    Args:
        logits: shape ``(clips, labels)``.
        labels: shape ``(clips,)``.
        weights: of the clips, shape ``(clips,)``, summing to 1.
        speakers: of the clips.
    """
    number = {speaker: index for index, speaker in enumerate(dict.fromkeys(speakers))}
    of_clips = np.array([number[speaker] for speaker in speakers])
    if len(number) == 1:
        return _straight(logits, labels, weights)
    surprise = {
        fit: sum(_left_out_surprisal(fit, logits, labels, weights, of_clips == index) for index in number.values())
        for fit in (_straight, fit_curve)
    }
    print(
        f"calibration: people left out surprise by {surprise[_straight]:.4f} nats, "
        f"with a power by {surprise[fit_curve]:.4f}",
        flush=True,
    )
    return min(surprise, key=lambda fit: surprise[fit])(logits, labels, weights)


def fit_curve(logits: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> Curve:
    """Find the temperature and the power with which logits' probabilities surprise least.

    Args:
        logits: shape ``(clips, labels)``.
        labels: shape ``(clips,)``.
        weights: of the clips, shape ``(clips,)``, summing to 1.

    Returns:
        A temperature of 0.2 to 5, and a power of 1/4 to 4.
    """

    def of(logs: NDArray[np.float64]) -> float:
        return _surprisal(Curve(*np.exp(logs)).calibrated(logits), labels, weights)

    start = (np.log(fit_temperature(logits, labels, weights)), 0.0)
    found = minimize(of, start, method="L-BFGS-B", bounds=(_BOUNDS, _POWERS))
    return Curve(*np.exp(found.x).tolist())


def _straight(logits: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> Curve:
    return Curve(fit_temperature(logits, labels, weights))


def _left_out_surprisal(
    fit: Callable[..., Curve],
    logits: NDArray[np.float64],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    out: NDArray[np.bool_],
) -> float:
    """How much some clips' labels surprise, with what was fitted on the others."""
    curve = fit(logits[~out], labels[~out], weights[~out] / weights[~out].sum())
    return _surprisal(curve.calibrated(logits[out]), labels[out], weights[out])


def _surprisal(logits: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    return -float(np.sum(weights * log_softmax(logits, axis=1)[np.arange(len(labels)), labels]))


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
