"""The first step of training: the classifier alone, on states that were pooled once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.progress import track

from training.batches import padded
from training.corpora import MODEL_LABELS
from training.network import soft_cross_entropy
from training.states import batched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.corpora import Clip
    from training.settings import Settings
    from training.states import States
    from training.upper import UpperPart

_BATCH = 16
_LAST_STEPS = 100


@torch.no_grad()
def pooled_states(upper: UpperPart, clips: Sequence[Clip], look: States) -> torch.Tensor:
    """Average one look's states over time, behind the last layer.

    Returns:
        float32, shape ``(clips, hidden)``, in the order of the clips.
    """
    upper.eval()
    some = [
        upper.pooled(*padded([look[clip.path] for clip in chosen]))
        for chosen in batched(track(clips, "pooling"), _BATCH)
    ]
    return torch.cat(some)


def fit_head(
    upper: UpperPart,
    pooled: torch.Tensor,
    clips: Sequence[Clip],
    weights: NDArray[np.float64],
    settings: Settings,
) -> float:
    """Train the classifier on pooled states.

    Args:
        upper: what is trained; its batch normalisation is set to the moments of all clips.
        pooled: of the clips, shape ``(clips, hidden)``.
        clips: what to train on.
        weights: how often to draw each, shape ``(clips,)``, summing to 1.
        settings: of the experiment.

    Returns:
        The mean cross entropy over the last hundred steps.
    """
    goal = settings.head
    upper.train()
    optimizer = torch.optim.Adam(upper.classifier.parameters(), lr=goal.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, goal.steps)
    rng = np.random.default_rng(settings.seed)
    targets = torch.eye(len(MODEL_LABELS))[[clip.label for clip in clips]]
    allowed = torch.tensor([clip.allowed(MODEL_LABELS) for clip in clips])
    losses = []
    for _ in range(goal.steps):
        chosen = rng.choice(len(clips), size=goal.batch_size, p=weights)
        loss = soft_cross_entropy(upper.logits(pooled[chosen]), targets[chosen], allowed[chosen])
        optimizer.zero_grad()
        (loss + goal.l2 * upper.classifier.weight.square().sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    _set_moments(upper, pooled, torch.from_numpy(weights).float())
    return float(np.mean(losses[-_LAST_STEPS:]))


@torch.no_grad()
def _set_moments(upper: UpperPart, pooled: torch.Tensor, weights: torch.Tensor) -> None:
    mean = weights @ pooled
    upper.standardise.running_mean = mean
    upper.standardise.running_var = weights @ (pooled - mean).square()
