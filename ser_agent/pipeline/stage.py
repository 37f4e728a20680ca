"""What all stages have in common: a thread, a heartbeat, and a way to say that they ended."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from ser_agent.assistant_voice import AssistantVoice

if TYPE_CHECKING:
    from queue import SimpleQueue

    from ser_agent.commands import Request
    from ser_agent.metrics import Metrics
    from ser_agent.pipeline.controls import Controls
    from ser_agent.pipeline.publisher import Publisher
    from ser_agent.recording import Recorder

POLL_S = 0.5
"""How long a stage waits for input before it gives its next sign of life."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Sound arrives, or none is wanted: the agent is up."""


@dataclass(frozen=True, slots=True)
class StageEnded:
    """A stage ended by itself; with an error where it died.

    Attributes:
        stage: its name.
        error: what it died of.
    """

    stage: str
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Signalled:
    """The process was sent a signal.

    Attributes:
        signum: number of the signal.
    """

    signum: int


@dataclass(frozen=True, slots=True)
class Requested:
    """Somebody outside asks for something.

    Attributes:
        request: what, and who waits for the answer.
    """

    request: Request


Occurrence: TypeAlias = Ready | StageEnded | Signalled | Requested
Occurrences: TypeAlias = "SimpleQueue[Occurrence]"
"""What the main thread waits on. ``SimpleQueue.put`` may be called from a signal handler."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all stages of one pipeline share.

    Attributes:
        publisher: takes messages to all sinks.
        metrics: the counters.
        occurrences: tells the main thread.
        controls: what may change meanwhile.
        voice: when the assistant spoke.
        recorder: keeps what is said as files; None where nothing is recorded.
    """

    publisher: Publisher
    metrics: Metrics
    occurrences: Occurrences
    controls: Controls
    voice: AssistantVoice = field(default_factory=AssistantVoice)
    recorder: Recorder | None = None


class Stage(ABC):
    """One thread of the pipeline."""

    def __init__(self, name: str, surroundings: Surroundings) -> None:
        self.name = name
        self._publisher = surroundings.publisher
        self._metrics = surroundings.metrics
        self._occurrences = surroundings.occurrences
        self._controls = surroundings.controls
        self._last_beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end.

        Returns:
            Whether it has ended.
        """
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def heartbeat_age_s(self) -> float:
        """Seconds since the last sign of life."""
        return time.monotonic() - self._last_beat

    def beat(self) -> None:
        """Give a sign of life."""
        self._last_beat = time.monotonic()

    @abstractmethod
    def work(self) -> None:
        """Do the stage's work until its input ends; an exception ends the agent."""

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            self.work()
        except BaseException as failure:  # noqa: BLE001 - whatever it is, sys.exit too, the main thread must know
            error = failure
        self._occurrences.put(StageEnded(self.name, error))
