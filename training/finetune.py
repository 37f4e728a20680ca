"""Training: the head first, then the encoder's upper layers. Stops, and resumes, at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import Wav2Vec2Model

from training.batches import Advice, Batches
from training.cache import Cache
from training.corpora import CrowdVotes, read_clips
from training.head import fit_head, pooled_states
from training.network import load_model, new_model, soft_cross_entropy
from training.progress import Progress
from training.sound import Augmenter
from training.states import LowerPart, States, write_states
from training.teachers import TeachersAnswers
from training.upper import UpperPart, put_together, take_head

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.corpora import Clip
    from training.settings import Settings

_PRINT_STEPS = 50


def finetune(settings: Settings) -> None:
    """Train, or go on training, until the steps or the minutes are used up.

    In the run's folder there are then ``states/`` (what is computed once), ``last/`` (the checkpoint, with the
    average of the last steps' weights) and ``upper.pt`` (to resume from).
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    cache = Cache(settings.cache_folder)
    clips = cache.usable([clip for clip in read_clips(settings) if clip.part == "train"])
    learn(settings, clips, compute_looks(settings, cache, clips))


def learn(settings: Settings, clips: Sequence[Clip], looks: Sequence[States]) -> None:
    """Train on some clips, or go on training, and put the checkpoint into the run's folder.

    Args:
        settings: of the experiment.
        clips: to learn from.
        looks: states of each look at these clips, and maybe at others.
    """
    start = start_folder(settings)
    upper = UpperPart(_encoder(start), settings.finetune.frozen_layers)
    batches = Batches(clips, looks, settings, advisers(settings), np.random.default_rng(settings.seed))
    if settings.head.keep:
        take_head(upper, load_model(start))
    elif not (settings.run_folder / "upper.pt").exists():
        loss = fit_head(upper, pooled_states(upper, clips, looks[0]), clips, batches.weights, settings)
        print(f"head: cross entropy {loss:.3f}", flush=True)
    averaged = _train(settings, upper, batches)
    model = new_model(start)
    put_together(model, averaged)
    model.save_pretrained(settings.run_folder / "last")


def _encoder(start: Path) -> Wav2Vec2Model:
    # The plain attention: the backward pass of the other one is slow on processors.
    return Wav2Vec2Model.from_pretrained(start, dtype=torch.float32, attn_implementation="eager")


def start_folder(settings: Settings) -> Path:
    """Where to start from: the front end that ``distil`` has made, where there is one."""
    distilled = settings.run_folder / "front"
    return distilled if distilled.exists() else settings.start_folder


def advisers(settings: Settings) -> list[Advice]:
    """Say who has a share in the targets: the crowd, and the teachers.

    Raises:
        FileNotFoundError: they are asked for, and are not there.
    """
    goal = settings.finetune
    found = []
    if goal.votes:
        found.append(Advice(CrowdVotes(settings.corpora_folder).of, goal.votes))
    if goal.teacher:
        found.append(Advice(TeachersAnswers(settings.teachers_file).of, goal.teacher))
    return found


def compute_looks(settings: Settings, cache: Cache, clips: Sequence[Clip]) -> list[States]:
    """Compute the frozen layers' states of several augmented looks at each clip, where they are not there yet."""
    lower = LowerPart(_encoder(start_folder(settings)), settings.finetune.frozen_layers)
    looks = []
    for number in range(settings.finetune.looks):
        path = settings.run_folder / "states" / f"look{number}.f16"
        if not path.with_suffix(".json").exists():
            augment = Augmenter(cache, settings.augment, np.random.default_rng([settings.seed, number]))
            write_states(path, lower, ((clip.path, augment(clip)) for clip in clips), len(clips))
        looks.append(States(path))
    return looks


def _train(settings: Settings, upper: UpperPart, batches: Batches) -> UpperPart:
    """Train the upper layers, and give their weights' running average."""
    goal = settings.finetune
    averaged = AveragedModel(upper, multi_avg_fn=_average(goal.average), use_buffers=True)
    optimizer = _optimizer(settings, upper)
    progress = Progress(
        settings.run_folder, "upper", steps=goal.steps, minutes=goal.minutes, warmup_steps=goal.warmup_steps
    )
    parts = {"upper": upper, "averaged": averaged, "optimizer": optimizer}
    progress.resume(parts)
    upper.train()
    losses = []
    while progress.share < 1.0:
        with progress.one_step():
            for group in optimizer.param_groups:
                group["lr"] = group["full"] * progress.pace
            batch = batches.draw()
            with torch.autocast("cpu", torch.bfloat16, enabled=goal.precision == "bfloat16"):
                logits = upper(batch.states, batch.kept)
            loss = soft_cross_entropy(logits, batch.targets, batch.allowed)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(upper.parameters(), 1.0)
            optimizer.step()
            averaged.update_parameters(upper)
        losses.append(loss.item())
        if progress.step % _PRINT_STEPS == 0:
            progress.say(f"cross entropy {np.mean(losses[-200:]):.3f}")
        if progress.due:
            progress.save(parts)
    return cast("UpperPart", averaged.module)


def _average(decay: float) -> Any:  # noqa: ANN401 - torch gives it no type
    return get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]


def _optimizer(settings: Settings, upper: UpperPart) -> torch.optim.Optimizer:
    """Lower layers move less: each by ``layer_decay`` less than the one above."""
    goal = settings.finetune
    rates = [goal.learning_rate * goal.layer_decay**depth for depth in reversed(range(len(upper.layers)))]
    groups = [
        *(
            {"params": [*layer.parameters()], "full": rate}
            for layer, rate in zip(upper.layers, rates, strict=True)
        ),
        {"params": [*upper.norm.parameters()], "full": goal.learning_rate},
        {"params": [*upper.classifier.parameters()], "full": goal.head_learning_rate},
    ]
    return torch.optim.AdamW(groups, lr=goal.learning_rate, weight_decay=goal.weight_decay)
