"""The first step of training: the head alone, on states of the frozen encoder that were pooled once."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from training.corpora import allowed_labels, sampling_weights
from training.network import head_parameters, masked_cross_entropy
from training.sound import collate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transformers import Wav2Vec2ForSequenceClassification

    from training.cache import Floats
    from training.corpora import Clip
    from training.settings import Settings


@torch.inference_mode()
def pooled_states(
    model: Wav2Vec2ForSequenceClassification, sounds: Sequence[Floats], batch_size: int = 16
) -> torch.Tensor:
    """Average every layer's states over time.

    Returns:
        float32, shape ``(sounds, layers + 1, hidden)``, in the order of the sounds.
    """
    model.eval()
    order = sorted(range(len(sounds)), key=lambda index: len(sounds[index]))
    pooled = torch.zeros(len(sounds), model.config.num_hidden_layers + 1, model.config.hidden_size)
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        values, mask = collate([sounds[index] for index in chosen])
        states = torch.stack(model.wav2vec2(values, mask, output_hidden_states=True).hidden_states, dim=1).float()
        # The very function that the model's own head pools with.
        kept = model._get_feature_vector_attention_mask(states.shape[2], cast("torch.LongTensor", mask))  # noqa: SLF001
        kept = kept[:, None, :, None].float()
        pooled[chosen] = (states * kept).sum(dim=2) / kept.sum(dim=2)
    return pooled


@torch.no_grad()
def standardise(model: Wav2Vec2ForSequenceClassification, pooled: torch.Tensor) -> None:
    """Set the projection so that what it gives has mean 0 and deviation 1 in each dimension.

    A few of the states' dimensions are huge; without this they own the gradient.
    """
    mixed = _mixed(model, pooled)
    scale = 1.0 / mixed.std(dim=0).clamp_min(1e-4)
    model.projector.weight.copy_(torch.diag(scale))
    model.projector.bias.copy_(-mixed.mean(dim=0) * scale)


def fit_head(
    model: Wav2Vec2ForSequenceClassification, pooled: torch.Tensor, clips: Sequence[Clip], settings: Settings
) -> float:
    """Train the layers' weights, the projection and the classifier on pooled states.

    Args:
        model: its projection is set by ``standardise`` first.
        pooled: of the clips, shape ``(clips, layers + 1, hidden)``.
        clips: what to train on.
        settings: of the experiment.

    Returns:
        The mean loss over the last hundred steps.
    """
    standardise(model, pooled)
    step_settings = settings.head
    optimizer = torch.optim.AdamW(
        head_parameters(model), lr=step_settings.learning_rate, weight_decay=step_settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, step_settings.steps)
    rng = np.random.default_rng(settings.seed)
    labels = torch.tensor([clip.label for clip in clips])
    allowed = torch.tensor([allowed_labels(clip.corpus) for clip in clips])
    weights = sampling_weights(clips)
    losses = []
    for _ in range(step_settings.steps):
        chosen = rng.choice(len(clips), size=step_settings.batch_size, p=weights)
        logits = model.classifier(model.projector(_mixed(model, pooled[chosen])))
        loss = masked_cross_entropy(logits, labels[chosen], allowed[chosen], settings.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return float(np.mean(losses[-100:]))


def _mixed(model: Wav2Vec2ForSequenceClassification, pooled: torch.Tensor) -> torch.Tensor:
    return (pooled * model.layer_weights.softmax(dim=0)[:, None]).sum(dim=1)
