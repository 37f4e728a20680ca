"""When a satellite's sound was heard, judged by when it arrived: Hermes messages carry no numbers."""

from __future__ import annotations

from dataclasses import dataclass

from ser_agent.audio import SAMPLE_RATE

SETTLE_S = 2.0
"""What was late all through so much sound was lost in small pieces, or the satellite's clock is slow."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a block of sound belongs.

    Attributes:
        offset: number of its first sample.
        captured_at: monotonic time in seconds of its first sample.
        after_gap: sound before it was lost.
    """

    offset: int
    captured_at: float
    after_gap: bool


class Timeline:
    """Places blocks of one satellite's sound one behind the other.

    Networks deliver late, never early: the block that came soonest tells when all of them were heard. A block that
    is late is not a gap, as those behind it may come the faster; one that is later than ``gap_s`` is.
    """

    def __init__(self, gap_s: float) -> None:
        """Begin with nothing heard.

        Args:
            gap_s: sound that is later than that will not be made up for: something in between was lost.
        """
        self._gap_s = gap_s
        self._next_offset = 0
        self._next_at: float | None = None
        self._least_late_s = gap_s
        self._settling_s = 0.0

    def place(self, count: int, arrived_at: float) -> Placed:
        """Place the next block.

        Args:
            count: its samples.
            arrived_at: monotonic time in seconds at which it was there, whole.
        """
        duration_s = count / SAMPLE_RATE
        soonest = arrived_at - duration_s
        late_s = 0.0 if self._next_at is None else soonest - self._next_at
        gap = late_s > self._gap_s
        if self._next_at is None or late_s <= 0.0 or gap:
            self._next_offset += round(late_s * SAMPLE_RATE) if gap else 0
            self._next_at = soonest
            self._settle()
        else:
            self._least_late_s = min(self._least_late_s, late_s)
        placed = Placed(self._next_offset, self._next_at, gap)
        self._next_offset += count
        self._next_at += duration_s
        self._settling_s += duration_s
        if self._settling_s >= SETTLE_S:
            self._next_at += 0.0 if self._least_late_s == self._gap_s else self._least_late_s
            self._settle()
        return placed

    def _settle(self) -> None:
        self._least_late_s = self._gap_s
        self._settling_s = 0.0
