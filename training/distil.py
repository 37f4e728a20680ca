"""Distilling the front end further: clean, noisy and reverberant speech, acted and plain, and noise alone."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import Wav2Vec2Model

from ser_agent.audio import SAMPLE_RATE
from training.cache import Cache
from training.corpora import read_clips
from training.progress import Progress
from training.sound import Augmenter, collate
from training.stem import LEAD_FRAMES, OFFSET, WhisperStem

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.cache import Floats
    from training.settings import Settings

_EDGE_FRAMES = 1
_CHECK_CROPS = 96
_PRINT_STEPS = 100


def distil(settings: Settings) -> None:
    """Train the convolutions and the projection behind them to give what Whisper's stem gives, without labels.

    Only clips of the train part are heard. In the run's folder there is then ``front/``, a ``Wav2Vec2Model``.
    """
    goal = settings.distil
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    model = Wav2Vec2Model.from_pretrained(settings.start_folder, dtype=torch.float32).eval()
    stem = WhisperStem(settings.teacher_folder)
    draw = _drawer(settings, np.random.default_rng(settings.seed))
    checked = torch.stack([draw() for _ in range(_CHECK_CROPS)])
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
            loss, _ = _distance(model, stem, torch.stack([draw() for _ in range(goal.batch_size)]), scale)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
        if progress.step % _PRINT_STEPS == 0:
            progress.say(f"relative squared error {_check(model, stem, checked, scale):.4f}")
        if progress.due:
            progress.save({"model": model, "optimizer": optimizer})
    model.save_pretrained(settings.run_folder / "front")


def _drawer(settings: Settings, rng: np.random.Generator) -> Callable[[], torch.Tensor]:
    """Make what draws normalised crops, augmented as in training, float32, shape ``(samples,)``."""
    cache = Cache(settings.cache_folder)
    clips = cache.usable([clip for clip in read_clips(settings) if clip.part == "train"])
    augment = Augmenter(cache, settings.augment, rng)
    length = round(settings.distil.crop_s * SAMPLE_RATE)

    def draw() -> torch.Tensor:
        sound = augment(clips[rng.integers(len(clips))])
        return collate([_cropped(sound, length, rng)])[0][0]

    return draw


def _cropped(sound: Floats, length: int, rng: np.random.Generator) -> Floats:
    if len(sound) < length:
        return np.pad(sound, (0, length - len(sound)))
    start = int(rng.integers(len(sound) - length + 1))
    return sound[start : start + length]


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
