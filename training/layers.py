"""Distilling the layers: each learns what the frozen encoder's gives, which hears the same speech undisturbed."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from training.crops import CropDrawer, normalised
from training.progress import Progress
from training.states import LowerPart, additive_mask, layer_states
from training.stem import LEAD_FRAMES
from training.whisper import WhisperStates

if TYPE_CHECKING:
    from transformers import Wav2Vec2Model

    from training.crops import Crops
    from training.settings import Settings

_EDGE_FRAMES = 1
_CHECK_CROPS = 48
_PRINT_STEPS = 50
_STAGE = 1
"""Of chance, so that other crops are drawn than for the front end."""


def distil_layers(settings: Settings, model: Wav2Vec2Model) -> None:
    """Train the transformer layers, without labels, until the steps or the minutes are used up.

    What lies below them stays as it is: the front end, and the positions.

    Args:
        settings: of the experiment.
        model: is trained in place; its frame t is Whisper's frame t + 2.

    Raises:
        ValueError: the teacher has another number of layers.
    """
    goal = settings.distil.layers
    lesson = _Lesson(settings, model)
    parameters = [*chain(model.encoder.layers.parameters(), model.encoder.layer_norm.parameters())]
    optimizer = torch.optim.AdamW(parameters, lr=goal.learning_rate, weight_decay=goal.weight_decay)
    progress = Progress(
        settings.run_folder, "layers", steps=goal.steps, minutes=goal.minutes, warmup_steps=goal.warmup_steps
    )
    parts = {"model": model, "optimizer": optimizer}
    progress.resume(parts)
    if not progress.step:
        progress.say(lesson.told())
    # Those who go on hear other crops than they have heard.
    drawer = CropDrawer(settings, goal.crop_s, np.random.default_rng([settings.seed, _STAGE, progress.step]))
    while progress.share < 1.0:
        with progress.one_step():
            for group in optimizer.param_groups:
                group["lr"] = goal.learning_rate * progress.pace
            loss, _ = lesson.distance(drawer.draw(goal.batch_size))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
        if progress.step % _PRINT_STEPS == 0 or progress.share >= 1.0:
            progress.say(lesson.told())
        if progress.due:
            progress.save(parts)


class _Lesson:
    """What the layers are to give, and how far from it they are.

    Args:
        settings: of the experiment.
        model: whose layers learn.
    """

    def __init__(self, settings: Settings, model: Wav2Vec2Model) -> None:
        self._model = model
        self._lower = LowerPart(model, 0)
        self._teacher = WhisperStates(settings.teacher_folder)
        self._bfloat16 = settings.distil.layers.precision == "bfloat16"
        rng = np.random.default_rng([settings.seed, _STAGE])
        self._checked = CropDrawer(settings, settings.distil.layers.crop_s, rng).draw(_CHECK_CROPS)
        wanted = self._teacher(normalised(self._checked.said))[1:]
        if len(wanted) != len(model.encoder.layers):
            raise ValueError(f"the teacher has {len(wanted)} layers, the model {len(model.encoder.layers)}")
        self._scales = [states.var((0, 1)) for states in wanted]

    def distance(self, crops: Crops) -> tuple[torch.Tensor, list[float]]:
        """Compare the layers of both.

        Returns:
            The loss: each dimension's squared error as a share of its variance, small variances counting as if
            they were the median, or noise in the tiny dimensions, or the huge ones, would own the gradient;
            averaged over dimensions and layers. And for each layer the squared error as a share of the variance.
        """
        losses, errors = [], []
        for given, wanted, scale in zip(self._given(crops), self._wanted(crops), self._scales, strict=True):
            frames = min(given.shape[1], wanted.shape[1])
            kept = slice(_EDGE_FRAMES, frames - _EDGE_FRAMES)
            error = (given[:, kept].float() - wanted[:, kept]).square()
            losses.append((error.mean((0, 1)) / scale.clamp(min=float(scale.median()))).mean())
            errors.append(float(error.detach().mean((0, 1)).sum() / scale.sum()))
        return torch.stack(losses).mean(), errors

    @torch.no_grad()
    def told(self) -> str:
        """Tell each layer's squared error, as a share of the variance, on the same crops each time."""
        errors = self.distance(self._checked)[1]
        return f"relative squared errors {' '.join(f'{error:.4f}' for error in errors)}"

    def _given(self, crops: Crops) -> list[torch.Tensor]:
        """What comes out of each of the model's layers, the last one's normalised."""
        states = torch.from_numpy(np.stack(self._lower(crops.heard))).float()
        mask = additive_mask(torch.ones(states.shape[:2], dtype=torch.bool))
        found = []
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            for layer in self._model.encoder.layers:
                states = layer_states(layer, states, mask)
                found.append(states)
            found[-1] = self._model.encoder.layer_norm(states)
        return found

    def _wanted(self, crops: Crops) -> list[torch.Tensor]:
        return [states[:, LEAD_FRAMES:] for states in self._teacher(normalised(crops.said))[1:]]
