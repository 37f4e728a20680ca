"""Training a net against a clock of processor time, with early stopping on the held-out speakers."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import nn

from training.corpora import LABELS, allowed_labels, sampling_weights
from training.figures import mean_uar
from training.network import masked_cross_entropy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from training.compare.features import Rows
    from training.compare.material import Material
    from training.compare.settings import CompareSettings, NetSettings
    from training.corpora import Clip

_BATCHES_SORTED_TOGETHER = 8
_EVALUATION_BATCH = 16


class Training(TypedDict):
    """How a training went.

    Attributes:
        minutes: processor time on updates.
        steps: updates.
        epochs: how often a clip was heard on average.
        checks: on the held-out speakers.
        best_step: whose state was kept.
        held_uar: of it, averaged over corpora.
        ended: ``minutes``, ``steps`` or ``patience``.
    """

    minutes: float
    steps: int
    epochs: float
    checks: int
    best_step: int
    held_uar: float
    ended: str


@dataclass(frozen=True, slots=True)
class Trainee:
    """A net, and how it gets its clips.

    Attributes:
        name: to print.
        model: is trained.
        forward: logits, shape ``(batch, 7)``, of the inputs of some clips.
        inputs: of a clip, time along the first axis.
        inputs_per_s: how many of them make a second.
        augment: makes training inputs other ones each time.
    """

    name: str
    model: nn.Module
    forward: Callable[[Sequence[Rows]], torch.Tensor]
    inputs: Callable[[Clip], Rows]
    inputs_per_s: float
    augment: Callable[[Rows, np.random.Generator], Rows]

    def logits(self, clips: Sequence[Clip]) -> NDArray[np.float64]:
        """Classify whole clips, those of like length together: shape ``(clips, 7)``."""
        self.model.eval()
        inputs = [self.inputs(clip) for clip in clips]
        order = sorted(range(len(clips)), key=lambda row: len(inputs[row]))
        logits = np.zeros((len(clips), len(LABELS)))
        with torch.inference_mode():
            for first in range(0, len(order), _EVALUATION_BATCH):
                rows = order[first : first + _EVALUATION_BATCH]
                logits[rows] = self.forward([inputs[row] for row in rows]).float().numpy()
        return logits


def fit(trainee: Trainee, material: Material, goal: NetSettings, settings: CompareSettings) -> Training:
    """Train a net; it is left in the state that did best on the held-out speakers.

    Args:
        trainee: the net.
        material: its training clips are drawn balanced over corpora and labels.
        goal: when to end, and how fast to learn.
        settings: of the comparison.
    """
    run = _Run(trainee, material, goal, settings)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn()) as progress:
        task = progress.add_task(trainee.name, total=1.0)
        while (ended := run.ended()) is None:
            run.step()
            if run.check_is_due():
                progress.console.print(run.check(), soft_wrap=True)
            progress.update(task, completed=run.progress(), description=run.describe())
    return run.finish(ended)


class _Run:
    def __init__(self, trainee: Trainee, material: Material, goal: NetSettings, settings: CompareSettings) -> None:
        self._trainee, self._goal, self._smoothing = trainee, goal, settings.label_smoothing
        self._train, self._held = material.part("train"), material.part("held")
        self._rng = np.random.default_rng(settings.seed)
        parameters = trainee.model.parameters()
        self._optimizer = torch.optim.AdamW(parameters, goal.learning_rate, weight_decay=goal.weight_decay)
        self._batches = self._drawn()
        self._losses: list[float] = []
        self._cpu_s = self._checked_s = 0.0
        self._checks = self._best_check = self._best_step = 0
        self._best, self._state = -1.0, copy.deepcopy(trainee.model.state_dict())

    def progress(self) -> float:
        """From 0 to 1."""
        return min(1.0, max(len(self._losses) / self._goal.steps, self._cpu_s / (self._goal.minutes * 60)))

    def ended(self) -> str | None:
        """Why the training is over, if it is."""
        if len(self._losses) >= self._goal.steps:
            return "steps"
        if self._cpu_s >= self._goal.minutes * 60:
            return "minutes"
        return "patience" if self._checks - self._best_check >= self._goal.patience else None

    def step(self) -> None:
        """Update once."""
        began = time.process_time()
        self._losses.append(self._update(next(self._batches)))
        self._cpu_s += time.process_time() - began

    def check_is_due(self) -> bool:
        """Whether it is time to ask the held-out speakers."""
        return self.progress() >= 1.0 or self._cpu_s - self._checked_s >= self._goal.check_minutes * 60

    def check(self) -> str:
        """Judge the net on the held-out speakers and keep its state if it is the best so far."""
        self._checks += 1
        self._checked_s = self._cpu_s
        scores = mean_uar(self._trainee.logits(self._held), self._held)
        if scores["mean"] > self._best:
            self._best, self._best_check, self._best_step = scores["mean"], self._checks, len(self._losses)
            self._state = copy.deepcopy(self._trainee.model.state_dict())
        found = ", ".join(f"{corpus} {score:.3f}" for corpus, score in scores.items())
        return f"{self.describe()}, {self._cpu_s / 60:.1f} min; held-out UAR {found}"

    def describe(self) -> str:
        """Tell how far it is."""
        loss = np.mean(self._losses[-100:])
        return f"{self._trainee.name}: step {len(self._losses)}, loss {loss:.3f}"

    def finish(self, ended: str) -> Training:
        """Go back to the best state."""
        self._trainee.model.load_state_dict(self._state)
        self._trainee.model.eval()
        return {
            "minutes": self._cpu_s / 60,
            "steps": len(self._losses),
            "epochs": len(self._losses) * self._goal.batch_size / len(self._train),
            "checks": self._checks,
            "best_step": self._best_step,
            "held_uar": self._best,
            "ended": ended,
        }

    def _drawn(self) -> Iterator[list[tuple[Clip, Rows]]]:
        """Draw balanced clips, several batches at once, and put those of like length together: less padding."""
        size, weights = self._goal.batch_size, sampling_weights(self._train)
        while True:
            chosen = self._rng.choice(len(self._train), size=size * _BATCHES_SORTED_TOGETHER, p=weights)
            pairs = [(self._train[row], self._looked_at(self._train[row])) for row in chosen]
            pairs.sort(key=lambda pair: len(pair[1]))
            for first in self._rng.permutation(range(0, len(pairs), size)):
                yield pairs[first : first + size]

    def _looked_at(self, clip: Clip) -> Rows:
        inputs = self._trainee.inputs(clip)
        longest = round(self._goal.max_s * self._trainee.inputs_per_s)
        start = int(self._rng.integers(max(0, len(inputs) - longest) + 1))
        return self._trainee.augment(inputs[start : start + longest], self._rng)

    def _update(self, batch: Sequence[tuple[Clip, Rows]]) -> float:
        self._trainee.model.train()
        logits = self._trainee.forward([inputs for _, inputs in batch])
        labels = torch.tensor([clip.label for clip, _ in batch])
        allowed = torch.tensor([allowed_labels(clip.corpus) for clip, _ in batch])
        loss = masked_cross_entropy(logits, labels, allowed, self._smoothing)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._trainee.model.parameters(), 1.0)
        pace = min(1.0, (len(self._losses) + 1) / self._goal.warmup_steps)
        pace *= 0.5 * (1.0 + float(np.cos(np.pi * self.progress())))
        for group in self._optimizer.param_groups:
            group["lr"] = self._goal.learning_rate * pace
        self._optimizer.step()
        return loss.item()
