"""Distilling further, on clean, noisy and reverberant speech, acted and plain, and noise alone: the front end."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import Wav2Vec2Model

from training.crops import CropDrawer, normalised
from training.layers import distil_layers
from training.progress import Progress
from training.stem import LEAD_FRAMES, OFFSET, WhisperStem

if TYPE_CHECKING:
    from training.settings import Settings

_EDGE_FRAMES = 1
_CHECK_CROPS = 96
_PRINT_STEPS = 100


def distil(settings: Settings) -> None:
    """Train an encoder to give what Whisper's gives, without labels: the front end, then maybe the layers.

    Only clips of the train part are heard. When all is done, there is ``front/`` in the run's folder: a
    ``Wav2Vec2Model``.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    model = Wav2Vec2Model.from_pretrained(
        settings.start_folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    if settings.distil.steps:
        _distil_front(settings, model)
    if settings.distil.layers.steps:
        distil_layers(settings, model)
    model.save_pretrained(settings.run_folder / "front")


def _distil_front(settings: Settings, model: Wav2Vec2Model) -> None:
    """Train the convolutions and the projection behind them to give what Whisper's stem gives."""
    goal = settings.distil
    stem = WhisperStem(settings.teacher_folder)
    drawer = CropDrawer(settings, goal.crop_s, np.random.default_rng(settings.seed))
    checked = normalised(drawer.draw(_CHECK_CROPS).heard)
    scale = stem(checked).var((0, 1))
    parameters = list(chain(model.feature_extractor.parameters(), model.feature_projection.parameters()))
    model.feature_extractor._requires_grad = False  # noqa: SLF001 - or it asks for gradients of the sound itself
    optimizer = torch.optim.AdamW(parameters, lr=goal.learning_rate, weight_decay=1e-4)
    progress = Progress(
        settings.run_folder, "distil", steps=goal.steps, minutes=goal.minutes, warmup_steps=goal.warmup_steps
    )
    progress.resume({"model": model, "optimizer": optimizer})
    while progress.share < 1.0:
        with progress.one_step():
            for group in optimizer.param_groups:
                group["lr"] = goal.learning_rate * progress.pace
            heard = drawer.draw(goal.batch_size).heard
            loss, _ = _distance(model, stem, normalised(heard), scale)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
        if progress.step % _PRINT_STEPS == 0:
            progress.say(f"relative squared error {_check(model, stem, checked, scale):.4f}")
        if progress.due:
            progress.save({"model": model, "optimizer": optimizer})


def _distance(
    model: Wav2Vec2Model, stem: WhisperStem, values: torch.Tensor, scale: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compare front end and stem.

    Args:
        model: has the front end.
        stem: what it is to give.
        values: normalised sound, shape ``(batch, samples)``.
        scale: each dimension's variance; small ones count as if they were the median, or the huge ones, or noise
            in the tiny ones, would own the gradient.

    Returns:
        The loss, and the squared error as a share of the stem's variance.
    """
    given = model.feature_projection(model.feature_extractor(values).transpose(1, 2))[0] + OFFSET
    wanted = stem(values)[:, LEAD_FRAMES:]
    frames = min(given.shape[1], wanted.shape[1])
    kept = slice(_EDGE_FRAMES, frames - _EDGE_FRAMES)
    error = (given[:, kept] - wanted[:, kept]).square()
    varied = (wanted[:, kept] - wanted[:, kept].mean((0, 1))).square()
    return (error.mean((0, 1)) / (scale + scale.median())).mean(), error.sum() / varied.sum()


@torch.no_grad()
def _check(model: Wav2Vec2Model, stem: WhisperStem, values: torch.Tensor, scale: torch.Tensor) -> float:
    return float(_distance(model, stem, values, scale)[1])
