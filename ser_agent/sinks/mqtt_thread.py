"""A thread that has a connection to the broker, and comes back whenever the broker does."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from ser_agent.bell import Bell
from ser_agent.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.backoff import Backoff

log = logging.getLogger(__name__)

STABLE_S: Final = 10.0
"""A connection that held this long was a success: the back-off starts anew, and faults are told again."""
SUSPICIOUS: Final = 3
"""So many connections in a row that did not hold that long are probably somebody else's doing."""


class BrokerThread(ABC):
    """Connects, works and reconnects until stopped. What it works at, ``_serve`` says.

    A fault is told once, however often it comes back, until a connection has held.
    """

    def __init__(
        self, name: str, whom: str, backoff: Backoff, *, ends_within_s: float, bell: Bell | None = None
    ) -> None:
        """Prepare; the thread begins with ``start``.

        Args:
            name: of the thread.
            whom: what the log calls the connection.
            backoff: how long to wait between two attempts.
            ends_within_s: how long its end is waited for.
            bell: wakes it; released at its end. None: one of its own.
        """
        self._whom = whom
        self._backoff = backoff
        self._ends_within_s = ends_within_s
        self._bell = bell or Bell()
        self._stopping = threading.Event()
        self._told: set[str] = set()
        self._short_lived = 0
        self._stable_at_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def wake(self) -> None:
        """Tell the thread that there is something to send. Never waits."""
        self._bell.ring()

    def stop(self) -> None:
        """End the thread after what it has left to do, which takes a few seconds at most."""
        self._stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join(self._ends_within_s)
        if self._thread.is_alive():  # in a look-up of the name, which nothing can end: the thread dies with it
            log.warning("%s: gave up waiting for the connection to end", self._whom)

    @property
    def alive(self) -> bool:
        """Whether it connects, or is connected."""
        return self._thread.is_alive()

    @abstractmethod
    def _serve(self) -> None:
        """Connect, ``_come_up``, and work until told to stop; ``_forgive`` now and then.

        Raises:
            SinkError: there is no connection, or it is lost.
        """

    def _come_up(self, said: str, suspicion: str | None = None) -> None:
        """Say that the connection is up, aloud unless it comes and goes.

        Args:
            said: the log's line.
            suspicion: what may be the matter where no connection lasts.
        """
        self._stable_at_s = time.monotonic() + STABLE_S
        log.log(logging.DEBUG if self._short_lived else logging.INFO, "%s: %s", self._whom, said)
        if suspicion is not None and self._short_lived == SUSPICIOUS:
            self._tell(f"no connection lasts: {suspicion}")

    def _forgive(self) -> None:
        """Once a connection has held, faults before it are history: they would be worth telling again."""
        if self._stable_at_s is not None and time.monotonic() > self._stable_at_s:
            self._short_lived = 0
            self._told.clear()
            self._backoff.reset()

    def _go_down(self) -> None:
        """The connection, if there was one, has ended."""
        if self._stable_at_s is not None:
            self._short_lived += 1
            self._forgive()
            self._stable_at_s = None

    @staticmethod
    def _step_until(condition: Callable[[], object], step: Callable[[float], None], timeout_s: float) -> None:
        """Step, each time for no longer than is left, until a condition holds or the time is up."""
        deadline_s = time.monotonic() + timeout_s
        while not condition() and (remaining_s := deadline_s - time.monotonic()) > 0:
            step(remaining_s)

    def _tell(self, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            log.warning("%s: %s", self._whom, reason)

    def _fail(self, failure: SinkError) -> None:
        """There is no connection, or it is lost."""
        self._tell(f"{failure}; trying again until it works")

    def _pause(self) -> None:
        """Wait before the next attempt."""
        self._stopping.wait(self._backoff.next_s())

    def _run(self) -> None:
        with self._bell:
            while not self._stopping.is_set():
                try:
                    self._serve()
                except SinkError as failure:
                    self._fail(failure)
                except Exception:
                    log.exception("%s: unexpected fault, reconnecting", self._whom)
                self._go_down()
                self._pause()
