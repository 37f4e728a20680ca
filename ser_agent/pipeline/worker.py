"""A thread for calls that may never return: they are waited for only so long."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
_Call: TypeAlias = "tuple[Callable[[], T], Future[T]]"


class OverTime(Exception):  # noqa: N818 - an occurrence, not a mistake of ours
    """A call, or the one before it, has not returned in time. It goes on, and nobody hears its answer."""


class Worker(Generic[T]):
    """Makes one call at a time, all in one thread, which keeps neither the caller nor the process's end.

    A thread cannot be ended from outside: a call that hangs occupies it until it returns, or for ever.
    """

    def __init__(self, name: str) -> None:
        """Prepare; the first call starts the thread.

        Args:
            name: of the thread.
        """
        self._calls: SimpleQueue[_Call[T] | None] = SimpleQueue()
        self._current: Future[T] | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def run(self, call: Callable[[], T], limit_s: float, beat: Callable[[], None], every_s: float) -> T:
        """Make a call once the one before it has returned; what it returns or raises is returned or raised here.

        Args:
            call: what to do.
            limit_s: how long to wait for the one before, and then for this one.
            beat: called while it takes, again and again.
            every_s: seconds between two of those.

        Raises:
            OverTime: the one before has not returned in time, and this one was not begun; or this one has not.
        """

        def settle(future: Future[T]) -> None:
            deadline = time.monotonic() + limit_s
            while not future.done():
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0:
                    raise OverTime
                wait([future], min(every_s, remaining_s))
                beat()

        if self._thread.ident is None:
            self._thread.start()
        if self._current is not None:
            settle(self._current)
        self._current = future = Future[T]()
        self._calls.put((call, future))
        settle(future)
        self._current = None
        return future.result()

    def close(self) -> None:
        """Let the thread end, once it can."""
        self._calls.put(None)

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            call, future = item
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
                future.set_exception(error)
            else:
                future.set_result(result)
            del item, call, future  # what was said must not stay here until somebody speaks again
