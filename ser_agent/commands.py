"""What somebody outside may ask of a running agent, and the desk at which it is asked."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OPEN_REQUESTS = 8
"""Requests that may wait for the agent at a time."""
BUSY = "the agent is busy: ask again"
STOPPING = "the agent is stopping"


@dataclass(frozen=True, slots=True)
class SetListening:
    """Open the microphone, or release it.

    Attributes:
        on: whether to listen.
    """

    on: bool


@dataclass(frozen=True, slots=True)
class SetThreshold:
    """Let an emotion be ``uncertain`` under another confidence.

    Attributes:
        value: 0 to 1.
    """

    value: float


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Tell how the agent is."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the configuration anew, as on SIGHUP."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the process anew."""


Command: TypeAlias = SetListening | SetThreshold | HealthCheck | Reload | Restart


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a command.

    Attributes:
        data: facts, where the command asks for some.
        error: why nothing was changed; None where all went well.
    """

    data: Mapping[str, object] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A command, and who wants to know what comes of it.

    Attributes:
        command: what is asked for.
        answer: takes the reply, once, in any thread, and returns at once.
    """

    command: Command
    answer: Callable[[Reply], None]


class CommandDesk:
    """Hands requests from the sinks' threads up to the agent. Each is answered, and few wait at a time."""

    def __init__(self, forward: Callable[[Request], None]) -> None:
        """Open the desk.

        Args:
            forward: takes a request to the agent's main thread, and returns at once.
        """
        self._forward = forward
        self._numbers = count()
        self._lock = threading.Lock()
        self._open: dict[int, Callable[[Reply], None]] = {}
        self._closed = False

    def submit(self, command: Command, answer: Callable[[Reply], None]) -> None:
        """Ask for something; the answer comes later, or at once where too many wait. From any thread."""
        with self._lock:
            refusal = STOPPING if self._closed else BUSY if len(self._open) >= OPEN_REQUESTS else None
            if refusal is None:
                number = next(self._numbers)
                self._open[number] = answer
        if refusal is None:
            self._forward(Request(command, lambda reply: self._settle(number, reply)))
        else:
            answer(Reply(error=refusal))

    def close(self) -> None:
        """Take no more requests; those that wait are told that the agent is stopping."""
        with self._lock:
            self._closed = True
            waiting = list(self._open)
        for number in waiting:
            self._settle(number, Reply(error=STOPPING))

    def _settle(self, number: int, reply: Reply) -> None:
        with self._lock:
            answer = self._open.pop(number, None)
        if answer is not None:
            answer(reply)
