"""Batches of states and targets: balanced, masked, mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from training.corpora import MODEL_LABELS, sampling_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from training.cache import Floats
    from training.corpora import Clip
    from training.settings import Settings
    from training.states import States

FRAMES_A_SECOND = 50
_LEAST_MASKED = 4
_MOST_MASKED = 1 / 6
_MIXUP_ALPHA = 0.4


class Batch(NamedTuple):
    """Some clips.

    ``states`` are float32, shape ``(batch, frames, hidden)``; ``kept`` tells frames from padding; ``targets`` are
    probabilities, shape ``(batch, labels)``, over the labels that are ``allowed``.
    """

    states: torch.Tensor
    kept: torch.Tensor
    targets: torch.Tensor
    allowed: torch.Tensor


class Advice(NamedTuple):
    """Somebody who has a share in the targets.

    ``of`` gives what they make of a clip: probabilities of the first of ``MODEL_LABELS``; None: they do not know.
    """

    of: Callable[[Clip], NDArray[np.float64] | None]
    share: float


class Batches:
    """Draws training batches from all looks.

    Args:
        clips: to draw from: corpora by their shares, and in each its labels equally often.
        looks: states of each look at the clips.
        settings: of the experiment.
        advisers: who become a part of the target.
        rng: where chance comes from.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        looks: Sequence[States],
        settings: Settings,
        advisers: Sequence[Advice],
        rng: np.random.Generator,
    ) -> None:
        self._clips = clips
        self._looks = looks
        self._settings = settings
        self._rng = rng
        self.weights = np.array(sampling_weights(clips, settings.shares))
        self._allowed = torch.tensor([clip.allowed(MODEL_LABELS) for clip in clips])
        self._targets = torch.stack([self._target(clip, advisers) for clip in clips])
        self._masking: Floats = np.mean([looks[0][clip.path].mean(axis=0) for clip in clips[::20]], axis=0)

    def draw(self) -> Batch:
        """Draw a batch."""
        goal = self._settings.finetune
        chosen = self._rng.choice(len(self._clips), size=goal.batch_size, p=self.weights).tolist()
        batch = self._batch([self._states(index) for index in chosen], chosen)
        return self._mixed(batch) if self._rng.random() < goal.p_mixup else batch

    def _target(self, clip: Clip, advisers: Sequence[Advice]) -> torch.Tensor:
        """The label asked for, the advisers' shares, and a little of each label that is allowed."""
        target = np.zeros(len(MODEL_LABELS))
        target[clip.label] = 1.0
        for adviser in advisers:
            advice = adviser.of(clip)
            if advice is not None:
                target *= 1.0 - adviser.share
                target[: len(advice)] += adviser.share * advice
        allowed = np.array(clip.allowed(MODEL_LABELS), dtype=float)
        smoothing = self._settings.label_smoothing_of.get(clip.corpus, self._settings.label_smoothing)
        return torch.from_numpy((1.0 - smoothing) * target + smoothing * allowed / allowed.sum()).float()

    def _states(self, index: int) -> Floats:
        """One look at a clip, cropped, and with a stretch of it masked."""
        goal, rng = self._settings.finetune, self._rng
        states = self._looks[int(rng.integers(len(self._looks)))][self._clips[index].path]
        spare = len(states) - round(goal.max_s * FRAMES_A_SECOND)
        if spare > 0:
            start = int(rng.integers(spare + 1))
            states = states[start : len(states) - spare + start]
        if rng.random() < goal.p_mask:
            most = max(_LEAST_MASKED, round(_MOST_MASKED * len(states)))
            length = min(int(rng.integers(_LEAST_MASKED, most + 1)), len(states) - 1)
            start = int(rng.integers(len(states) - length))
            states[start : start + length] = self._masking
        return states

    def _batch(self, some: Sequence[Floats], chosen: Sequence[int]) -> Batch:
        states, kept = padded(some)
        return Batch(states, kept, self._targets[chosen], self._allowed[chosen])

    def _mixed(self, batch: Batch) -> Batch:
        """Mix each clip with another, states and targets alike (manifold mixup, Verma et al., 2019)."""
        share = float(self._rng.beta(_MIXUP_ALPHA, _MIXUP_ALPHA))
        other = torch.from_numpy(self._rng.permutation(len(batch.states)))
        # Where the other one has ended, there is nothing to mix in.
        theirs = torch.where(batch.kept[other][..., None], batch.states[other], batch.states)
        return Batch(
            share * batch.states + (1.0 - share) * theirs,
            batch.kept,
            share * batch.targets + (1.0 - share) * batch.targets[other],
            batch.allowed | batch.allowed[other],
        )


def padded(some: Sequence[Floats]) -> tuple[torch.Tensor, torch.Tensor]:
    """Put states of several clips side by side.

    Args:
        some: float32, shape ``(frames_i, hidden)`` each.

    Returns:
        States, shape ``(batch, max frames_i, hidden)``, and which of the frames are not padding.
    """
    lengths = torch.tensor([len(states) for states in some])
    together = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(states) for states in some], batch_first=True)
    return together, torch.arange(together.shape[1])[None] < lengths[:, None]
