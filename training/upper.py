"""The part that is trained: the encoder's upper layers and the classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from training.corpora import MODEL_LABELS
from training.states import additive_mask, layer_states

if TYPE_CHECKING:
    from transformers import Wav2Vec2ForSequenceClassification, Wav2Vec2Model

_MOMENTUM = 0.02


class UpperPart(nn.Module):
    """What follows the frozen layers, with batch normalisation where the finished model has its projection.

    A few of the states' dimensions are huge, and some have means of fifty deviations, which move with every step
    of the layers below. Batch normalisation (Ioffe and Szegedy, 2015) follows them; at the end it is folded into
    the projection, so the checkpoint is a plain ``Wav2Vec2ForSequenceClassification``.

    Only the normalised output of the last layer is classified, no sum over layers: what such a sum takes from the
    last layer is normalised in ``transformers`` 4 and is not in 5, so a checkpoint would answer differently.

    Args:
        encoder: whose layers and last normalisation are taken over, and trained in place.
        frozen: how many of its layers stay below.
    """

    def __init__(self, encoder: Wav2Vec2Model, frozen: int) -> None:
        super().__init__()
        hidden = encoder.config.hidden_size
        self.layers = encoder.encoder.layers[frozen:]
        self.norm = encoder.encoder.layer_norm
        self.standardise = nn.BatchNorm1d(hidden, eps=1e-6, momentum=_MOMENTUM, affine=False)
        self.classifier = nn.Linear(hidden, len(MODEL_LABELS))
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def pooled(self, states: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Average the last layer's normalised output over time.

        Args:
            states: shape ``(batch, frames, hidden)``.
            kept: which frames are not padding: bool, shape ``(batch, frames)``.

        Returns:
            Shape ``(batch, hidden)``.
        """
        mask = additive_mask(kept)
        for layer in self.layers:
            states = layer_states(layer, states, mask)
        weights = kept[..., None].float()
        pooled: torch.Tensor = (self.norm(states) * weights).sum(1) / weights.sum(1)
        return pooled

    def logits(self, pooled: torch.Tensor) -> torch.Tensor:
        """Classify pooled states: shape ``(batch, labels)``."""
        result: torch.Tensor = self.classifier(self.standardise(pooled))
        return result

    def forward(self, states: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Classify: see ``pooled`` and ``logits``."""
        return self.logits(self.pooled(states, kept))


@torch.no_grad()
def put_together(model: Wav2Vec2ForSequenceClassification, upper: UpperPart) -> None:
    """Put the trained part into the whole model, its batch normalisation into the projection.

    Args:
        model: its encoder's lower layers are kept; all else is set.
        upper: as trained.
    """
    frozen = model.config.num_hidden_layers - len(upper.layers)
    model.wav2vec2.encoder.layers[frozen:].load_state_dict(upper.layers.state_dict())
    model.wav2vec2.encoder.layer_norm.load_state_dict(upper.norm.state_dict())
    moments = upper.standardise
    if moments.running_mean is None or moments.running_var is None:
        raise ValueError("the batch normalisation keeps no moments")
    scale = (moments.running_var + moments.eps).rsqrt()
    model.projector.weight.copy_(torch.diag(scale))
    model.projector.bias.copy_(-moments.running_mean * scale)
    model.classifier.load_state_dict(upper.classifier.state_dict())


@torch.no_grad()
def take_head(upper: UpperPart, model: Wav2Vec2ForSequenceClassification) -> None:
    """Take a finished model's head: the opposite of ``put_together``.

    Args:
        upper: whose batch normalisation and classifier are set.
        model: whose projection does nothing but standardise.

    Raises:
        ValueError: its labels are others, or its projection does more.
    """
    scale = model.projector.weight.diagonal()
    if [*(model.config.id2label or {}).values()] != [*MODEL_LABELS] or not torch.equal(
        torch.diag(scale), model.projector.weight
    ):
        raise ValueError("the head of the checkpoint to start from is of another kind; see head.keep")
    upper.standardise.running_mean = -model.projector.bias / scale
    upper.standardise.running_var = scale.square().reciprocal() - upper.standardise.eps
    upper.classifier.load_state_dict(model.classifier.state_dict())
