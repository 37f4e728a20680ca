"""A run that may be interrupted: its clock, its pace, what it says, and its state on disk."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SAVE_S = 120.0


class Progress:
    """Counts steps and the time spent on them, over all starts of a run.

    Args:
        folder: of the run; made where it is missing.
        stage: names the state's file and the lines of the log.
        steps: after which the run ends.
        minutes: after which it ends at the latest.
        warmup_steps: in which the learning rate rises; it falls to zero by the end, as a cosine.
    """

    def __init__(self, folder: Path, stage: str, *, steps: int, minutes: float, warmup_steps: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "log.txt"
        self._state = folder / f"{stage}.pt"
        self._stage = stage
        self._limits = steps, minutes * 60
        self._warmup_steps = warmup_steps
        self._saved_s = 0.0
        self.step = 0
        self.elapsed_s = 0.0

    @property
    def share(self) -> float:
        """How much of the run is done: 0 to 1."""
        steps, seconds = self._limits
        return min(1.0, max(self.step / steps, self.elapsed_s / seconds))

    @property
    def pace(self) -> float:
        """What to multiply learning rates by now."""
        return float(min(1.0, (self.step + 1) / self._warmup_steps) * 0.5 * (1.0 + np.cos(np.pi * self.share)))

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """Count what happens inside as one step, and its time."""
        started_s = time.monotonic()
        yield
        self.step += 1
        self.elapsed_s += time.monotonic() - started_s

    @property
    def due(self) -> bool:
        """Whether it is time to save: every two minutes, and at the end."""
        return self.share >= 1.0 or self.elapsed_s - self._saved_s > _SAVE_S

    def save(self, parts: Mapping[str, Any]) -> None:
        """Keep the state of models and optimisers, and of chance."""
        kept = {name: part.state_dict() for name, part in parts.items()}
        unfinished = self._state.with_suffix(".tmp")
        torch.save({"step": self.step, "elapsed_s": self.elapsed_s, "parts": kept}, unfinished)
        unfinished.replace(self._state)
        self._saved_s = self.elapsed_s

    def resume(self, parts: Mapping[str, Any]) -> None:
        """Take up the state that was kept, if any."""
        if not self._state.exists():
            return
        state = torch.load(self._state, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state["parts"][name])
        self.step, self.elapsed_s = state["step"], state["elapsed_s"]
        self._saved_s = self.elapsed_s
        self.say("resumed")

    def say(self, what: str) -> None:
        """Print a line, and keep it in the run's log."""
        line = f"{time.strftime('%H:%M:%S')} {self._stage} {self.step} ({self.share:.0%}): {what}"
        print(line, flush=True)
        with self._log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
