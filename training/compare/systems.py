"""What a system of the comparison can do, before and after its training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ser_agent.audio import Samples
    from training.corpora import Clip


class Trained(Protocol):
    """A system that is ready to be judged."""

    @property
    def parameters(self) -> int:
        """How many numbers it has learnt."""

    def logits(self, clips: Sequence[Clip]) -> NDArray[np.float64]:
        """Classify clips: ``(clips, 7 or more)``, in the order of ``LABELS``; what is behind is no emotion."""

    def answer(self, samples: Samples) -> object:
        """Classify one sound, from its samples to an answer, as it would be done in use."""


class System(Protocol):
    """A system of the comparison."""

    def made_with(self) -> Mapping[str, Any]:
        """Tell, as plain data, what makes it another system when it changes; the clips need not be told."""

    def train(self, folder: Path) -> Mapping[str, Any]:
        """Train it, and write what ``load`` needs into a folder.

        Returns:
            How it went, as plain data.
        """

    def load(self, folder: Path) -> Trained:
        """Take up what was trained."""
