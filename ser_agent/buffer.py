"""The bounded queue between two stages."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):  # noqa: N818 - tells that a stream has ended, which is no mistake
    """The queue is closed and empty: nothing more will come."""


class Closable:
    """What all queues between two stages have in common: a lock, and an end."""

    def __init__(self) -> None:
        """Begin open."""
        self._changed = threading.Condition()
        self._closed = False

    def close(self) -> None:
        """Accept nothing more; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nothing more is accepted."""
        with self._changed:
            return self._closed


class BoundedQueue(Closable, Generic[T]):
    """A queue that a live producer never waits for.

    ``put`` drops the oldest item when full, and counts it; ``put_wait`` is for producers that can wait.
    """

    def __init__(self, max_items: int) -> None:
        """Make an empty queue.

        Args:
            max_items: bound, at least 1.
        """
        super().__init__()
        self._items: deque[T] = deque()
        self._max_items = max_items
        self._dropped = 0

    def put(self, item: T) -> T | None:
        """Add an item without ever waiting; on a closed queue the item itself is what is dropped.

        Returns:
            The item that was dropped, or None.
        """
        with self._changed:
            dropped: T | None = None
            if self._closed:
                dropped = item
            else:
                if len(self._items) >= self._max_items:
                    dropped = self._items.popleft()
                self._items.append(item)
            self._dropped += dropped is not None
            self._changed.notify_all()
            return dropped

    def put_wait(self, item: T, timeout_s: float | None = None) -> bool:
        """Add an item, waiting for room.

        Returns:
            False where there was no room in time or the queue is closed: the item was not added.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._max_items, timeout_s)
            if self._closed or len(self._items) >= self._max_items:
                return False
            self._items.append(item)
            self._changed.notify_all()
            return True

    def get(self, timeout_s: float | None = None) -> T | None:
        """Take the oldest item.

        Returns:
            The item, or None where none came in time.

        Raises:
            Closed: nothing more will come.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with self._changed:
            while not self._items:
                if self._closed:
                    raise Closed
                remaining_s = None if deadline is None else deadline - time.monotonic()
                if remaining_s is not None and remaining_s <= 0:
                    return None
                self._changed.wait(remaining_s)
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def drain(self) -> list[T]:
        """Take everything that waits, oldest first."""
        with self._changed:
            items = list(self._items)
            self._items.clear()
            self._changed.notify_all()
            return items

    @property
    def dropped(self) -> int:
        """How many items ``put`` has dropped."""
        with self._changed:
            return self._dropped

    def __len__(self) -> int:
        """Items that wait."""
        with self._changed:
            return len(self._items)
