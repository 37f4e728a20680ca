"""The model: how it is made from the pretrained encoder, its loss, and how to get answers from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from transformers import AutoConfig, Wav2Vec2ForSequenceClassification

from training.corpora import MODEL_LABELS
from training.sound import collate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.cache import Floats


def new_model(start: Path) -> Wav2Vec2ForSequenceClassification:
    """Make a classifier with a new head on a pretrained encoder.

    The head's projection is as wide as the encoder's states, so that it can standardise them.

    Args:
        start: folder of a ``Wav2Vec2Model`` checkpoint.
    """
    config = AutoConfig.from_pretrained(start)
    config.id2label = dict(enumerate(MODEL_LABELS))
    config.label2id = {label: index for index, label in enumerate(MODEL_LABELS)}
    config.use_weighted_layer_sum = False
    config.classifier_proj_size = config.hidden_size
    config.mask_time_min_masks = 1
    return Wav2Vec2ForSequenceClassification.from_pretrained(start, config=config, dtype=torch.float32)


def load_model(folder: Path) -> Wav2Vec2ForSequenceClassification:
    """Load a checkpoint in single precision.

    Raises:
        ValueError: weights are missing from it or superfluous in it.
    """
    loaded: Any = Wav2Vec2ForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    model: Wav2Vec2ForSequenceClassification = loaded[0]
    if wrong := {name: keys for name, keys in loaded[1].items() if keys}:
        raise ValueError(f"{folder}: the checkpoint does not fit: {wrong}")
    model.eval()
    return model


def masked_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, allowed: torch.Tensor, smoothing: float = 0.0
) -> torch.Tensor:
    """Cross entropy among the labels that each clip's corpus has.

    Args:
        logits: float, shape ``(batch, labels)``.
        labels: int64, shape ``(batch,)``, each an allowed one.
        allowed: bool, shape ``(batch, labels)``.
        smoothing: share of the target that is spread evenly over the allowed labels.

    Returns:
        The mean, a scalar; no gradient reaches logits that are not allowed.
    """
    even = allowed / allowed.sum(dim=-1, keepdim=True)
    hard = functional.one_hot(labels, logits.shape[-1])
    return soft_cross_entropy(logits, (1.0 - smoothing) * hard + smoothing * even, allowed)


def soft_cross_entropy(logits: torch.Tensor, targets: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
    """Cross entropy among the labels that are allowed.

    Args:
        logits: float, shape ``(batch, labels)``.
        targets: probabilities over the allowed labels, of the same shape.
        allowed: bool, likewise.

    Returns:
        The mean, a scalar; no gradient reaches logits that are not allowed.
    """
    scores = logits.float().masked_fill(~allowed, -torch.inf).log_softmax(-1).masked_fill(~allowed, 0.0)
    return -(targets * scores).sum(-1).mean()


def predict_logits(
    model: Wav2Vec2ForSequenceClassification, sounds: Sequence[Floats], batch_size: int = 16
) -> NDArray[np.float64]:
    """Classify sounds, those of like length together.

    Args:
        model: is put in evaluation mode.
        sounds: float32, shape ``(n_i,)`` each.
        batch_size: how many at once.

    Returns:
        Logits, shape ``(sounds, labels)``, in the order of the sounds.
    """
    model.eval()
    order = sorted(range(len(sounds)), key=lambda index: len(sounds[index]))
    logits = np.zeros((len(sounds), int(model.classifier.out_features)))
    with torch.inference_mode():
        for first in range(0, len(order), batch_size):
            chosen = order[first : first + batch_size]
            values, mask = collate([sounds[index] for index in chosen])
            logits[chosen] = model(values, attention_mask=mask).logits.float().numpy()
    return logits
