"""Calls into a library that may never return: made aside, and waited for only so long."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class HangsError(Exception):
    """A call has not returned in time, or the one before it still has not. It goes on by itself."""


class Aside:
    """Makes one call at a time, each in a thread of its own: none keeps the caller, or the process's end."""

    def __init__(self) -> None:
        self._idle = threading.Lock()

    def run(self, call: Callable[[], T], patience_s: float) -> T:
        """Make a call once the one before it has returned.

        Args:
            call: what to do; what it returns or raises is returned or raised here.
            patience_s: how long to wait for the one before, and then for this one.

        Raises:
            HangsError: the one before has not returned in time, and this one was not begun; or this one has not.
        """
        if not self._idle.acquire(timeout=patience_s):
            raise HangsError
        future: Future[T] = Future()
        threading.Thread(target=self._work, args=(call, future), name="aside", daemon=True).start()
        if wait([future], patience_s).not_done:
            raise HangsError
        return future.result()

    def _work(self, call: Callable[[], T], future: Future[T]) -> None:
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
            self._idle.release()
            future.set_exception(error)
        else:
            self._idle.release()
            future.set_result(result)
