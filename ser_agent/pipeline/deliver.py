"""The last stage, one for each sink: messages to a sink, whose troubles are its own."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ser_agent.buffer import BoundedQueue, Closed
from ser_agent.errors import SinkError
from ser_agent.pipeline.stage import POLL_S, Stage, Surroundings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.messages import AnyMessage
    from ser_agent.ports import EventSink

log = logging.getLogger(__name__)

COMPLAIN_EVERY = 100


class DeliverStage(Stage):
    """Hands messages to one sink. What the sink refuses is counted as lost, and work goes on."""

    def __init__(
        self, name: str, sink: EventSink, upstream: BoundedQueue[AnyMessage], surroundings: Surroundings
    ) -> None:
        super().__init__(name, surroundings)
        self.sink = sink
        self._upstream = upstream
        self._refused = 0

    @property
    def lost(self) -> int:
        """Messages that did not reach the sink's other end, as far as is known."""
        return self._upstream.dropped + self._refused + self.sink.lost()

    @property
    def waiting(self) -> int | None:
        """Events that wait at the sink for its other end, as in an outage; None where it does not tell."""
        waiting = getattr(self.sink, "waiting", None)
        return None if waiting is None else int(waiting())

    @property
    def connected(self) -> bool | None:
        """Whether the sink's other end is there; None where it has none, or does not tell."""
        told = getattr(self.sink, "connected", None)
        return None if told is None else bool(told)

    def work(self) -> None:
        """Deliver until the queue is closed and empty."""
        try:
            while True:
                self.beat()
                message = self._upstream.get(POLL_S)
                if message is not None:
                    self._deliver(message)
        except Closed:
            return

    def _deliver(self, message: AnyMessage) -> None:
        try:
            self.sink.publish(message)
        except SinkError as error:
            self._complain(str(error))
        except Exception as error:  # noqa: BLE001 - a sink's bug must not hold the others
            self._complain(f"{type(error).__name__}: {error}")

    def _complain(self, reason: str) -> None:
        if self._refused % COMPLAIN_EVERY == 0:
            log.warning("sink %s did not take a message: %s (%d so far)", self.name, reason, self._refused + 1)
        self._refused += 1


@contextmanager
def troubles_told(sink: str) -> Iterator[None]:
    """Tell what a sink raises at the end, and go on: the others have messages to deliver too.

    Args:
        sink: its name.
    """
    try:
        yield
    except Exception:
        log.exception("sink %s did not end well", sink)
