"""Temperature scaling (Guo et al., 2017), folded into the classifier's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]
from scipy.special import log_softmax  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import Wav2Vec2ForSequenceClassification

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


@torch.no_grad()
def fold_temperature(model: Wav2Vec2ForSequenceClassification, temperature: float) -> None:
    """Divide the classifier's weight and bias, and so all logits, by the temperature."""
    model.classifier.weight.div_(temperature)
    model.classifier.bias.div_(temperature)
