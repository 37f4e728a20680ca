"""From whoever has something to say to every sink's queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_agent.buffer import BoundedQueue
from ser_agent.messages import AnyMessage, EmotionEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

MESSAGES_WAITING = 256
PATIENCE_S = 5.0
"""How long a source that can wait does so for one sink, before that sink loses its oldest message."""


class Publisher:
    """Gives each message to all sinks' queues. None of them holds up the others for ever."""

    def __init__(self, sink_names: Sequence[str], *, live: bool) -> None:
        """Make a queue for each sink.

        Args:
            sink_names: unique names of the sinks.
            live: whether the source goes on while nobody listens, so that nothing may wait.
        """
        self.queues: dict[str, BoundedQueue[AnyMessage]] = {
            name: BoundedQueue(MESSAGES_WAITING) for name in sink_names
        }
        self._live = live
        self.last_event: EmotionEvent | None = None

    def publish(self, message: AnyMessage) -> None:
        """Give a message to every sink."""
        if isinstance(message, EmotionEvent):
            self.last_event = message
        for queue in self.queues.values():
            if self._live or not queue.put_wait(message, PATIENCE_S):
                queue.put(message)

    def close(self) -> None:
        """Nothing more will be published: the sinks deliver what waits, and end."""
        for queue in self.queues.values():
            queue.close()
