"""From the broker's thread, which only takes down what comes, to the one that listens; bounded for each site."""

from __future__ import annotations

import threading
import time
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ser_agent.buffer import Closed

if TYPE_CHECKING:
    from ser_agent.errors import SourceError

MOST_BYTES_OF_A_SITE = 524_288
MOST_BYTES = 16_777_216
CYCLE_S = 60.0
"""In so long, each satellite has been first, has been last, and is first again."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message with sound.

    Attributes:
        name: ``siteId`` of the satellite.
        payload: as it came.
        arrived_at: monotonic time in seconds.
        session: that was open at the satellite then, if any.
    """

    name: str
    payload: bytes
    arrived_at: float
    session: str | None


@dataclass(slots=True)
class _Pending:
    phase: float
    arrivals: deque[Arrival] = field(default_factory=deque)
    size_bytes: int = 0

    def rank(self, now_s: float) -> float:
        """Less is earlier: 0, when it has just become first, to 1."""
        return (self.phase + now_s / CYCLE_S) % 1.0


class Inflow:
    """Gives the messages of the satellite that is first, as long as there are any, then those of the next one.

    Where all can be heard, it makes no difference who is first. Where there is too much, the last in the order are
    not heard for some seconds, and the others whole: a little of everybody would be nobody's utterance. The order
    goes round by the clock. What waits too long is shed, oldest first, and counted.
    """

    def __init__(self, buffer_s: float) -> None:
        """Make an empty one.

        Args:
            buffer_s: how long a message waits at most before newer ones of its satellite.
        """
        self._buffer_s = buffer_s
        self._pending: dict[str, _Pending] = {}
        self._size_bytes = 0
        self._changed = threading.Condition()
        self._end: SourceError | None = None
        self._closed = False
        self._shed = 0

    @property
    def shed(self) -> int:
        """Messages that were given up."""
        with self._changed:
            return self._shed

    def put(self, arrival: Arrival) -> None:
        """Add a message; never waits."""
        with self._changed:
            pending = self._pending.get(arrival.name) or self._begin(arrival.name)
            self._append(pending, arrival)
            oldest_s = arrival.arrived_at - self._buffer_s
            while pending.size_bytes > MOST_BYTES_OF_A_SITE or pending.arrivals[0].arrived_at < oldest_s:
                self._shed_oldest(pending)
            while self._size_bytes > MOST_BYTES:
                fullest = max(self._pending.values(), key=lambda other: other.size_bytes)
                self._shed_oldest(fullest)
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Arrival | None:
        """Take the oldest message of the satellite that comes first just now.

        Returns:
            It; None where none came in time.

        Raises:
            Closed: nothing is wanted any more.
            SourceError: nothing will come any more, as ``fail`` has said.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not self._pending:
                if self._closed:
                    raise Closed
                if self._end is not None:
                    raise self._end
                remaining_s = deadline_s - time.monotonic()
                if remaining_s <= 0:
                    return None
                self._changed.wait(remaining_s)
            if self._closed:
                raise Closed
            now_s = time.monotonic()
            arrival = self._pop(min(self._pending.values(), key=lambda pending: pending.rank(now_s)))
            self._tidy(arrival.name)
            return arrival

    def fail(self, reason: SourceError) -> None:
        """Nothing will come any more; what waits can still be taken."""
        with self._changed:
            self._end = reason
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing is wanted any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _begin(self, name: str) -> _Pending:
        phase = zlib.crc32(name.encode(errors="surrogatepass")) / 2**32
        self._pending[name] = pending = _Pending(phase)
        return pending

    def _tidy(self, name: str) -> None:
        if not self._pending[name].arrivals:
            del self._pending[name]

    def _append(self, pending: _Pending, arrival: Arrival) -> None:
        pending.arrivals.append(arrival)
        pending.size_bytes += len(arrival.payload)
        self._size_bytes += len(arrival.payload)

    def _pop(self, pending: _Pending) -> Arrival:
        arrival = pending.arrivals.popleft()
        pending.size_bytes -= len(arrival.payload)
        self._size_bytes -= len(arrival.payload)
        return arrival

    def _shed_oldest(self, pending: _Pending) -> None:
        arrival = self._pop(pending)
        self._shed += 1
        self._tidy(arrival.name)
