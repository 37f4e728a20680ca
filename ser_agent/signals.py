"""Signals from the first moment of an agent's process to its last: none of them ends it but as an agent ends.

By default SIGTERM, SIGINT and SIGHUP kill a process. They may come before the agent is there to heed them, while
modules are still being imported, and after it has gone, while the interpreter clears up.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_held: list[int] = []


def hold() -> None:
    """From now on, keep signals until somebody asks for them; to be called first of all, in the main thread.

    What was sent while the process executed itself anew comes now: it had been ``blocked``.
    """
    for signum in SIGNALS:
        signal.signal(signum, _hold)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def held() -> list[int]:
    """Take the signals that were kept, oldest first."""
    taken = _held[:]
    del _held[: len(taken)]
    return taken


def stop_is_wanted() -> bool:
    """Whether one of the signals that were kept asks for the end; they stay kept."""
    return any(signum in {signal.SIGTERM, signal.SIGINT} for signum in _held)


def ignore() -> None:
    """Ignore signals: the process is about to end by itself, and Python takes back handlers, but not this."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


@contextmanager
def blocked() -> Iterator[None]:
    """Let signals wait, also over the execution of another program, which finds them once it calls ``hold``."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hold(signum: int, _frame: object) -> None:
    _held.append(signum)
