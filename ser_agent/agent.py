"""The agent's life in five verbs: run, start, watch, stop, and report in between."""

from __future__ import annotations

import logging
import queue
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from ser_agent.buffer import BoundedQueue
from ser_agent.endpointing import Endpointer
from ser_agent.errors import SerAgentError
from ser_agent.messages import AgentInfo, AgentStats, EmotionEvent
from ser_agent.metrics import Metrics, resident_mb
from ser_agent.pipeline.classify import ClassifyStage, EventStyle
from ser_agent.pipeline.deliver import DeliverStage
from ser_agent.pipeline.listen import ListenStage
from ser_agent.pipeline.publisher import Publisher
from ser_agent.pipeline.stage import FirstFrame, Occurrences, Signalled, Stage, StageEnded, Surroundings
from ser_agent.segmenter import Segmenter, SegmenterOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ser_agent.audio import Utterance
    from ser_agent.metrics import Books
    from ser_agent.ports import AudioSource, EmotionClassifier, EventSink, ModelInfo, VoiceActivityDetector
    from ser_agent.systemd import Notifier

log = logging.getLogger(__name__)

UTTERANCES_WAITING = 4
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


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that an agent is made of, ready to be started.

    Attributes:
        site: slug of the agent.
        version: version of ser_agent.
        config_digest: SHA-256 of the configuration without its secrets.
        source_name: kind of the source.
        source: where sound comes from.
        detector: tells speech from other sound.
        threshold: probability from which on the detector's hop is speech.
        segmenter: durations of the endpointing.
        classifier: hears the emotion.
        top: how many labels an event tells.
        min_confidence: the threshold under which the emotion is ``uncertain``; None: the model's own.
        sinks: where messages go, by unique name.
        stats_interval_s: seconds between two ``AgentStats``.
    """

    site: str
    version: str
    config_digest: str
    source_name: str
    source: AudioSource
    detector: VoiceActivityDetector
    threshold: float
    segmenter: SegmenterOptions
    classifier: EmotionClassifier
    top: int
    min_confidence: float | None
    sinks: Mapping[str, EventSink]
    stats_interval_s: float


class Agent:
    """Starts the parts in order, watches them, and stops them in reverse."""

    def __init__(
        self, parts: Parts, occurrences: Occurrences, notifier: Notifier, accept_reload: Callable[[], bool]
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            parts: everything that it is made of.
            occurrences: what the main thread waits on.
            notifier: tells the supervisor.
            accept_reload: asked on SIGHUP whether there is a valid new configuration to stop for.
        """
        self._parts = parts
        self._accept_reload = accept_reload
        self.ready = False
        self._occurrences = occurrences
        self._notifier = notifier
        self._publisher = Publisher(list(parts.sinks), live=parts.source.live)
        self._surroundings = Surroundings(self._publisher, Metrics(), occurrences)
        self._utterances: BoundedQueue[Utterance] = BoundedQueue(UTTERANCES_WAITING)
        self._listen: ListenStage | None = None
        self._stages: list[Stage] = []
        self._opened_sinks: dict[str, EventSink] = {}
        self._next_stats_s = 0.0
        self._next_sign_s = 0.0
        self._told_event: EmotionEvent | None = None

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
        self._publisher.publish(self._info(model))
        threshold = model.threshold(parts.min_confidence)
        style = EventStyle(parts.site, parts.source_name, model.name, parts.top, threshold)
        endpointer = Endpointer(parts.detector, Segmenter(parts.segmenter, parts.threshold))
        self._add(ClassifyStage(parts.classifier, self._utterances, style, self._surroundings))
        self._listen = ListenStage(parts.source, endpointer, self._utterances, self._surroundings)
        self._add(self._listen)

    def watch(self) -> Outcome:
        """Wait for what happens, and tell how things are going.

        Raises:
            SerAgentError: a stage died.
        """
        ended = 0
        while True:
            try:
                occurrence = self._occurrences.get(timeout=TICK_S)
            except queue.Empty:
                self._tick()
                continue
            match occurrence:
                case FirstFrame():
                    self._become_ready()
                case Signalled(signal.SIGHUP):
                    self._notifier.reloading()
                    if self._accept_reload():
                        return Outcome.RELOAD
                    self._notifier.ready()
                case Signalled():
                    self._notifier.stopping()
                    return Outcome.STOPPED
                case StageEnded(stage, error):
                    if error is not None:
                        raise _fault(stage, error) from error
                    ended += 1
                    if ended == len(self._stages):
                        return Outcome.ENDED
            self._tick()

    def stop(self) -> None:
        """Finish the utterance in progress, deliver its event, say ``offline``; within ``STOP_S`` seconds."""
        deadline = time.monotonic() + STOP_S
        if self._listen is None:
            self._utterances.close()
            self._publisher.close()
        else:
            self._listen.stop()
        for stage in reversed(self._stages):
            if not stage.join(deadline - FLUSH_S - time.monotonic()):
                log.error("stage %s did not stop in time", stage.name)
        for name, sink in self._opened_sinks.items():
            with _told(name):
                sink.flush(max(0.1, deadline - time.monotonic()))
        given_up = self._surroundings.metrics.settle("shutdown")
        if given_up:
            log.warning("%d utterances given up at the end", given_up)
        for name, sink in self._opened_sinks.items():
            with _told(name):
                sink.close()
        self._opened_sinks.clear()

    def stats(self) -> AgentStats:
        """Counters since the start and gauges of now."""
        metrics = self._surroundings.metrics
        books = metrics.books()
        waiting = {name: len(messages) for name, messages in self._publisher.queues.items()}
        return AgentStats(
            uptime_s=round(metrics.uptime_s, 1),
            utterances=books.begun,
            published=books.published,
            failed=books.failed,
            dropped=books.dropped,
            frames_dropped=metrics.frames_dropped,
            lost_by_sink={stage.name: stage.lost for stage in self._stages if isinstance(stage, DeliverStage)},
            queues={"utterances": len(self._utterances), **waiting},
            latency_p50_ms=metrics.latency_ms(0.5),
            latency_p95_ms=metrics.latency_ms(0.95),
            real_time_factor=metrics.real_time_factor(),
            level_dbfs=metrics.level_dbfs(),
            cpu_percent=metrics.cpu_percent(),
            rss_mb=resident_mb(),
        )

    def _add(self, stage: Stage) -> None:
        self._stages.append(stage)
        stage.start()

    def _info(self, model: ModelInfo) -> AgentInfo:
        return AgentInfo(
            version=self._parts.version,
            site=self._parts.site,
            model=model.name,
            model_licence=model.licence,
            labels=model.labels,
            languages=model.languages,
            config_digest=self._parts.config_digest,
        )

    def _become_ready(self) -> None:
        self.ready = True
        self._notifier.ready()
        self._notifier.status(f"listening to {self._parts.source_name}")
        log.info("listening to %s", self._parts.source_name)

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
        stale = [stage.name for stage in self._stages if stage.alive and stage.heartbeat_age_s > STALE_S]
        if stale:
            log.error("no sign of life from %s", ", ".join(stale))
        return not stale


@contextmanager
def _told(sink: str) -> Iterator[None]:
    """Tell what a sink raises at the end, and go on: the others have messages to deliver too."""
    try:
        yield
    except Exception:
        log.exception("sink %s did not end well", sink)


def _fault(stage: str, error: BaseException) -> SerAgentError:
    if isinstance(error, SerAgentError):
        return error
    log.error("stage %s died", stage, exc_info=error)
    return SerAgentError(f"stage {stage} died: {type(error).__name__}: {error}")
