"""The first step of training: the head alone, on states of the frozen encoder that were pooled once."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from training.corpora import allowed_labels, sampling_weights
from training.network import masked_cross_entropy
from training.sound import collate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn
    from transformers import Wav2Vec2ForSequenceClassification

    from training.cache import Floats
    from training.corpora import Clip
    from training.settings import Settings

_FRAGILITY = 0.2
"""A dimension counts as if it varied by at least this part of its mean."""
_MOMENTUM = 0.98
_STANDARDISE_STEPS = 25


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
        states = torch.stack(model.wav2vec2(values, mask, output_hidden_states=True).hidden_states, dim=1)
        pooled[chosen] = _pooled(model, states, mask)
    return pooled


@torch.no_grad()
def standardise(model: Wav2Vec2ForSequenceClassification, mean: torch.Tensor, variance: torch.Tensor) -> None:
    """Set the projection so that what it gives has mean 0 and a deviation of about 1 in each dimension.

    A few of the states' dimensions are huge; without this they own the gradient. Some have means of fifty
    deviations, so that a slight change of the encoder moves them by many: those are given less weight.

    Args:
        model: its projection is set.
        mean: over clips of the mixed and pooled states, shape ``(hidden,)``.
        variance: likewise.
    """
    scale = (variance + (_FRAGILITY * mean).square()).rsqrt()
    model.projector.weight.copy_(torch.diag(scale))
    model.projector.bias.copy_(-mean * scale)


class MovingStandardisation:
    """Keeps the projection standardising while the encoder under it is trained.

    What goes into the projection has means of up to fifty deviations. Each step of the encoder moves those means
    a little, which would move what comes out by whole deviations; trained itself, by steps that are all of one
    size, the projection would do the same. So it follows running moments instead, as batch normalisation does
    (Ioffe and Szegedy, 2015), and stays a plain linear layer.
    """

    def __init__(self, model: Wav2Vec2ForSequenceClassification) -> None:
        """Take over from what ``standardise`` has set."""
        self._model = model
        scale = model.projector.weight.detach().diag()
        self._mean = -model.projector.bias.detach() / scale
        self._variance = scale.pow(-2) - (_FRAGILITY * self._mean).square()
        self._states = torch.empty(0)
        model.projector.register_forward_pre_hook(self._keep)

    def _keep(self, _module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        self._states = inputs[0].detach()

    @torch.no_grad()
    def follow(self, mask: torch.Tensor) -> None:
        """Take the latest batch into account.

        Args:
            mask: its attention mask, shape ``(batch, samples)``.
        """
        batch = _pooled(self._model, self._states[:, None], mask)[:, 0]
        self._mean.lerp_(batch.mean(dim=0), 1.0 - _MOMENTUM)
        self._variance.lerp_((batch - self._mean).square().mean(dim=0), 1.0 - _MOMENTUM)
        standardise(self._model, self._mean, self._variance)


def fit_head(
    model: Wav2Vec2ForSequenceClassification, pooled: torch.Tensor, clips: Sequence[Clip], settings: Settings
) -> float:
    """Train the layers' weights and the classifier on pooled states; the projection standardises.

    Args:
        model: what is trained.
        pooled: of the clips, shape ``(clips, layers + 1, hidden)``.
        clips: what to train on.
        settings: of the experiment.

    Returns:
        The mean cross entropy over the last hundred steps.
    """
    goal = settings.head
    optimizer = torch.optim.Adam([model.layer_weights, *model.classifier.parameters()], lr=goal.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, goal.steps)
    rng = np.random.default_rng(settings.seed)
    labels = torch.tensor([clip.label for clip in clips])
    allowed = torch.tensor([allowed_labels(clip.corpus) for clip in clips])
    weights = sampling_weights(clips)
    losses = []
    for step in range(goal.steps):
        if step % _STANDARDISE_STEPS == 0:
            with torch.no_grad():
                mixed = _mixed(model, pooled)
                standardise(model, mixed.mean(dim=0), mixed.var(dim=0))
        chosen = rng.choice(len(clips), size=goal.batch_size, p=weights)
        logits = model.classifier(model.projector(_mixed(model, pooled[chosen])))
        loss = masked_cross_entropy(logits, labels[chosen], allowed[chosen], settings.label_smoothing)
        optimizer.zero_grad()
        penalised = loss + goal.l2 * model.classifier.weight.square().sum()
        penalised.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return float(np.mean(losses[-100:]))


def _mixed(model: Wav2Vec2ForSequenceClassification, pooled: torch.Tensor) -> torch.Tensor:
    return (pooled * model.layer_weights.softmax(dim=0)[:, None]).sum(dim=1)


def _pooled(model: Wav2Vec2ForSequenceClassification, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Average states over time: shape ``(batch, layers, frames, hidden)`` to ``(batch, layers, hidden)``."""
    # The very function that the model's own head pools with.
    kept = model._get_feature_vector_attention_mask(states.shape[2], cast("torch.LongTensor", mask))  # noqa: SLF001
    weights: torch.Tensor = kept[:, None, :, None].float()
    return (states * weights).sum(dim=2) / weights.sum(dim=2)
