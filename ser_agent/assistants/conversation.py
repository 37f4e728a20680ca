"""An agent without a source of its own: what it hears is handed to it, command by command."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from ulid import ULID

from ser_agent.assistants.ears import EarsStage, Owners, TellingClassifier
from ser_agent.assistants.hearing import Hearing
from ser_agent.commands import HealthCheck, Reply, SetListening, SetThreshold
from ser_agent.messages import Availability, ListeningState, MicrophoneState
from ser_agent.metrics import Metrics
from ser_agent.pipeline.classify import ClassifyStage, EventStyle
from ser_agent.pipeline.deliver import DeliverStage, troubles_told
from ser_agent.pipeline.publisher import Publisher
from ser_agent.pipeline.stage import Requested, StageEnded, Surroundings
from ser_agent.pipeline.waiting import UtteranceQueue
from ser_agent.reports import describe, fault_of, measure
from ser_agent.steering import Steering

if TYPE_CHECKING:
    from ser_agent.commands import Request
    from ser_agent.metrics import Books
    from ser_agent.parts import Parts
    from ser_agent.pcm import PcmFormat
    from ser_agent.pipeline.stage import Occurrences, Stage
    from ser_agent.ports import EventSink

log = logging.getLogger(__name__)

UTTERANCES_WAITING = 16
STOP_S = 10.0
FLUSH_S = 3.0
STALE_S = 60.0


class Conversation:
    """Hears commands and publishes their events, with the sinks, the threshold and the mute of any agent.

    All but ``open`` and what a ``Hearing`` does happens in the main thread.
    """

    def __init__(self, parts: Parts, occurrences: Occurrences) -> None:
        """Prepare; nothing is opened yet.

        Args:
            parts: what an agent is made of; its source is not used.
            occurrences: where commands and the ends of stages come in.
        """
        self._parts = parts
        self._occurrences = occurrences
        self._publisher = Publisher(list(parts.sinks), live=True)
        self._steering = Steering(parts, self._publisher.publish)
        self._surroundings = Surroundings(self._publisher, Metrics(), occurrences, self._steering.controls)
        self._utterances = UtteranceQueue(UTTERANCES_WAITING)
        self._owners = Owners()
        self._ears = EarsStage(parts.make_endpointer, self._utterances, self._owners, self._surroundings)
        self._stages: list[Stage] = []
        self._opened: dict[str, EventSink] = {}
        self._next_stats_s = 0.0
        self._hearing = False

    @property
    def books(self) -> Books:
        """What became of the utterances."""
        return self._surroundings.metrics.books()

    @property
    def min_confidence(self) -> float:
        """The threshold under which an emotion is ``uncertain``."""
        return self._steering.controls.min_confidence

    @property
    def top(self) -> int:
        """How many labels are told."""
        return self._parts.top

    def start(self) -> None:
        """Open the sinks, load the model, start the stages.

        Raises:
            SerAgentError: a part cannot be had.
        """
        parts = self._parts
        for name, sink in parts.sinks.items():
            sink.open()
            self._opened[name] = sink
            self._add(DeliverStage(name, sink, self._publisher.queues[name], self._surroundings))
        model = parts.classifier.load()
        log.info("model %s: %s", model.name, ", ".join(model.labels))
        self._publisher.publish(describe(parts, model, str(ULID())))
        self._steering.take_model(model)
        style = EventStyle(parts.site, parts.source_name, model.name, parts.top)
        classifier = TellingClassifier(parts.classifier, self._owners)
        self._add(ClassifyStage(classifier, self._utterances, style, self._surroundings, parts.time_limit_s))
        self._add(self._ears)
        self._publisher.publish(ListeningState(on=self._steering.controls.listening))
        self._publisher.publish(Availability(online=True))

    def open(self, pcm: PcmFormat) -> Hearing | None:
        """Begin to hear a command; None where nobody wants to listen, or the sound cannot be read."""
        if not self._steering.controls.listening:
            return None
        if not pcm.usable:
            log.warning("sound of %d Hz, %d bytes, %d channels is not heard", pcm.rate, pcm.width, pcm.channels)
            return None
        return Hearing(self._ears, pcm)

    def say_hearing(self, *, possible: bool) -> None:
        """Tell whether there is anything to be heard: whether the other side is there."""
        if possible != self._hearing:
            self._hearing = possible
            self._publisher.publish(MicrophoneState(connected=possible, lost=not possible))

    def tick(self) -> None:
        """Obey what is asked for, and tell how things are going.

        Raises:
            SerAgentError: a stage died.
        """
        while not self._occurrences.empty():
            match self._occurrences.get():
                case Requested(request):
                    self._obey(request)
                case StageEnded(stage, error) if error is not None:
                    raise fault_of(stage, error) from error
        now_s = time.monotonic()
        if now_s >= self._next_stats_s:
            if self._next_stats_s:
                queues = {name: len(waiting) for name, waiting in self._publisher.queues.items()}
                queues["utterances"] = len(self._utterances)
                self._publisher.publish(measure(self._surroundings.metrics, queues, self._stages))
            self._next_stats_s = now_s + self._parts.stats_interval_s

    def stale(self) -> list[str]:
        """The stages without a sign of life."""
        return [stage.name for stage in self._stages if stage.alive and stage.heartbeat_age_s > STALE_S]

    def stop(self) -> None:
        """Finish what is under way, deliver its events, say ``offline``; within ``STOP_S`` seconds."""
        deadline_s = time.monotonic() + STOP_S
        self._parts.desk.close()
        self._ears.stop()
        if self._ears not in self._stages:  # it never came so far
            self._utterances.close()
            self._publisher.close()
        for stage in reversed(self._stages):
            if not stage.join(deadline_s - FLUSH_S - time.monotonic()):
                log.error("stage %s did not stop in time", stage.name)
        for name, sink in self._opened.items():
            with troubles_told(name):
                sink.flush(max(0.1, deadline_s - time.monotonic()))
            with troubles_told(name):
                sink.close()
        self._opened.clear()

    def _add(self, stage: Stage) -> None:
        self._stages.append(stage)
        stage.start()

    def _obey(self, request: Request) -> None:
        error: str | None = None
        data: dict[str, object] = {}
        match request.command:
            case SetListening(on):
                error = self._steering.set_listening(self._set_listening, on=on)
            case SetThreshold(value):
                self._steering.set_threshold(value)
            case HealthCheck():
                controls = self._steering.controls
                data = {"healthy": True, "listening": controls.listening, "hearing": self._hearing}
            case _:
                error = "not of this kind of agent: start the process again"
        request.answer(Reply(data, error))

    def _set_listening(self, on: bool) -> None:  # noqa: FBT001 - a plain setter
        self._steering.controls.listening = on
        if not on:
            self._owners.abandon()
        self._publisher.publish(ListeningState(on=on))
