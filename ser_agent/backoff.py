"""How long to wait before trying again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_S = 1.0


class Backoff:
    """Exponential back-off with full jitter.

    Every wait is drawn evenly from zero to a ceiling that doubles from one attempt to the next, so that a house
    full of agents does not fall upon a broker that has just come up. Marc Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015.
    """

    def __init__(self, max_s: float, first_s: float = FIRST_S, draw: Callable[[], float] = random.random) -> None:
        """Begin with the shortest ceiling.

        Args:
            max_s: highest ceiling, seconds.
            first_s: ceiling of the first wait, seconds.
            draw: gives a number from 0 to 1.
        """
        self._max_s = max_s
        self._first_s = first_s
        self._draw = draw
        self._ceiling_s = min(first_s, max_s)

    def next_s(self) -> float:
        """Draw the next wait, in seconds, and raise the ceiling."""
        wait_s = self._draw() * self._ceiling_s
        self._ceiling_s = min(2 * self._ceiling_s, self._max_s)
        return wait_s

    def reset(self) -> None:
        """Start anew: things went well for a while."""
        self._ceiling_s = min(self._first_s, self._max_s)
