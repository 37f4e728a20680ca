"""The agent's life in five verbs: run, start, watch, stop, and report in between."""

from __future__ import annotations

import logging
import queue
import signal
import time
from enum import Enum, auto
from typing import TYPE_CHECKING

from ulid import ULID

from ser_agent.commands import HealthCheck, Reload, Reply, Restart, SetListening, SetThreshold
from ser_agent.metrics import Metrics
from ser_agent.pipeline.classify import ClassifyStage, EventStyle
from ser_agent.pipeline.deliver import DeliverStage, troubles_told
from ser_agent.pipeline.listen import ListenStage
from ser_agent.pipeline.publisher import Publisher
from ser_agent.pipeline.stage import Ready, Requested, Signalled, Stage, StageEnded, Surroundings
from ser_agent.pipeline.waiting import UtteranceQueue
from ser_agent.reports import describe, fault_of, measure, vitals
from ser_agent.steering import Steering

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ser_agent.commands import Request
    from ser_agent.messages import AgentStats, EmotionEvent
    from ser_agent.metrics import Books
    from ser_agent.parts import Parts
    from ser_agent.pipeline.stage import Occurrence, Occurrences
    from ser_agent.ports import EventSink
    from ser_agent.systemd import Notifier

log = logging.getLogger(__name__)

STOP_S = 10.0
"""How long the agent may take to stop."""
FLUSH_S = 3.0
"""What of it is kept for the sinks to deliver the last messages."""
TICK_S = 1.0
STALE_S = 60.0
"""A stage without a sign of life for so long hangs: the watchdog is no longer fed."""


class Outcome(Enum):
    """Why the agent stopped."""

    ENDED = auto()
    """The source ended."""
    STOPPED = auto()
    """It was told to."""
    RELOAD = auto()
    """It is to be started again with a new configuration."""
    RESTART = auto()
    """The whole process is to be started again."""


class Agent:
    """Starts the parts in order, watches them, and stops them in reverse."""

    def __init__(
        self,
        parts: Parts,
        occurrences: Occurrences,
        notifier: Notifier,
        objection: Callable[[Outcome], str | None],
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            parts: everything that it is made of.
            occurrences: what the main thread waits on.
            notifier: tells the supervisor.
            objection: asked before a reload or a restart what speaks against it; None where nothing does.
        """
        self._parts = parts
        self._objection = objection
        self.ready = False
        self._occurrences = occurrences
        self._notifier = notifier
        self._publisher = Publisher(list(parts.sinks), live=parts.source.live)
        self._steering = Steering(parts, self._publisher.publish)
        shared = (self._publisher, Metrics(), occurrences, self._steering.controls)
        self._surroundings = Surroundings(*shared, parts.voice, parts.recorder)
        self._utterances = UtteranceQueue()
        self._listen: ListenStage | None = None
        self._stages: list[Stage] = []
        self._ended = 0
        self._opened_sinks: dict[str, EventSink] = {}
        self._next_stats_s = 0.0
        self._next_sign_s = 0.0
        self._told_event: EmotionEvent | None = None
        self._instance = str(ULID())

    @property
    def books(self) -> Books:
        """What became of the utterances."""
        return self._surroundings.metrics.books()

    def run(self) -> Outcome:
        """Live: until the source ends, or a signal or a fault comes.

        Raises:
            SerAgentError: a part cannot be had, or a stage died.
        """
        try:
            self.start()
            return self.watch()
        finally:
            self.stop()

    def start(self) -> None:
        """Open the sinks, load the model, start the stages; the source is opened last.

        Raises:
            SerAgentError: a part cannot be had.
        """
        parts = self._parts
        self._notifier.status("starting")
        for name, sink in parts.sinks.items():
            sink.open()
            self._opened_sinks[name] = sink
            self._add(DeliverStage(name, sink, self._publisher.queues[name], self._surroundings))
        model = parts.classifier.load()
        log.info("model %s: %s", model.name, ", ".join(model.labels))
        self._publisher.publish(describe(parts, model, self._instance))
        self._steering.take_model(model)
        style = EventStyle(parts.site, parts.source_name, model.name, parts.top)
        self._add(ClassifyStage(parts.classifier, self._utterances, style, self._surroundings, parts.time_limit_s))
        if parts.assistant is not None:
            parts.assistant.open(parts.voice.heed)
        self._listen = ListenStage(parts.source, parts.make_endpointer, self._utterances, self._surroundings)
        self._add(self._listen)

    def watch(self) -> Outcome:
        """Wait for what happens, and tell how things are going.

        Raises:
            SerAgentError: a stage died.
        """
        while True:
            try:
                outcome = self._heed(self._occurrences.get(timeout=TICK_S))
            except queue.Empty:
                outcome = None
            if outcome is not None:
                return outcome
            self._tick()

    def _heed(self, occurrence: Occurrence) -> Outcome | None:
        """Do what an occurrence asks for; the outcome where that ends this agent."""
        match occurrence:
            case Ready():
                self._become_ready()
            case Requested(request):
                return self._obey(request)
            case Signalled(signal.SIGHUP):
                return Outcome.RELOAD if self._objection_to_reload() is None else None
            case Signalled():
                self._notifier.stopping()
                return Outcome.STOPPED
            case StageEnded(stage, error):
                if error is not None:
                    raise fault_of(stage, error) from error
                self._ended += 1
                return Outcome.ENDED if self._ended == len(self._stages) else None
        return None

    def stop(self) -> None:
        """Finish the utterance in progress, deliver its event, say ``offline``; within ``STOP_S`` seconds."""
        deadline = time.monotonic() + STOP_S
        self._parts.desk.close()
        if self._listen is None:
            self._utterances.close()
            self._publisher.close()
        else:
            self._listen.stop()
        for stage in reversed(self._stages):
            if not stage.join(deadline - FLUSH_S - time.monotonic()):
                log.error("stage %s did not stop in time", stage.name)
        for name, sink in self._opened_sinks.items():
            with troubles_told(name):
                sink.flush(max(0.1, deadline - time.monotonic()))
        given_up = self._surroundings.metrics.settle("shutdown")
        if given_up:
            log.warning("%d utterances given up at the end", given_up)
        for name, sink in self._opened_sinks.items():
            with troubles_told(name):
                sink.close()
        self._opened_sinks.clear()
        if self._parts.assistant is not None:
            self._parts.assistant.close()

    def stats(self) -> AgentStats:
        """Counters since the start and gauges of now."""
        waiting = {name: len(messages) for name, messages in self._publisher.queues.items()}
        waiting["utterances"] = len(self._utterances)
        parts = (self._parts.source, self._parts.classifier)
        counted: list[Mapping[str, int]] = [getattr(part, "counts", dict)() for part in parts]
        return measure(self._surroundings.metrics, waiting, self._stages, *counted)

    def health(self) -> dict[str, object]:
        """What a request for a health check is answered with."""
        return {
            "healthy": not self._stale_stages(),
            "listening": self._steering.controls.listening,
            "hearing": self._listen is not None and self._listen.connected,
            "threshold": self._steering.controls.min_confidence,
            "version": self._parts.version,
            "instance": self._instance,
            **vitals(self._surroundings.metrics, self._stages),
        }

    def _obey(self, request: Request) -> Outcome | None:
        """Do what is asked, and answer; what ends this agent is left to the caller."""
        error: str | None = None
        data: dict[str, object] = {}
        outcome: Outcome | None = None
        match request.command:
            case SetListening(on):
                error = self._steering.set_listening(self._set_listening, on=on)
            case SetThreshold(value):
                self._steering.set_threshold(value)
            case HealthCheck():
                data = self.health()
            case Reload():
                error = self._objection_to_reload()
                outcome = Outcome.RELOAD
            case Restart():
                error = self._objection(Outcome.RESTART)
                outcome = Outcome.RESTART
        request.answer(Reply(data, error))
        return outcome if error is None else None

    def _set_listening(self, on: bool) -> None:  # noqa: FBT001 - a plain setter
        if self._listen is not None:
            self._listen.set_listening(on=on)
        self._tell_what_it_does()

    def _objection_to_reload(self) -> str | None:
        self._notifier.reloading()
        objection = self._objection(Outcome.RELOAD)
        if objection is not None:
            self._notifier.ready()
        return objection

    def _add(self, stage: Stage) -> None:
        self._stages.append(stage)
        stage.start()

    def _become_ready(self) -> None:
        self.ready = True
        self._notifier.ready()
        self._tell_what_it_does()

    def _tell_what_it_does(self) -> None:
        doing = f"listening to {self._parts.source_name}" if self._steering.controls.listening else "muted"
        self._notifier.status(doing)
        log.info(doing)

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self._next_stats_s:
            if self._next_stats_s:
                self._publisher.publish(self.stats())
            self._next_stats_s = now + self._parts.stats_interval_s
        event = self._publisher.last_event
        if event is not None and event is not self._told_event:
            self._told_event = event
            self._notifier.status(f"last heard: {event.emotion} ({event.confidence:.0%})")
        if self._notifier.watchdog_s is not None and now >= self._next_sign_s and self._all_well():
            self._notifier.alive()
            self._next_sign_s = now + self._notifier.watchdog_s / 3

    def _all_well(self) -> bool:
        stale = self._stale_stages()
        if stale:
            log.error("no sign of life from %s", ", ".join(stale))
        return not stale

    def _stale_stages(self) -> list[str]:
        return [stage.name for stage in self._stages if stage.alive and stage.heartbeat_age_s > STALE_S]
