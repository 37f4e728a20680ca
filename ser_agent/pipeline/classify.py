"""The middle stage: utterances in, emotion events out."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ser_agent.buffer import Closed
from ser_agent.errors import ClassificationError, SerAgentError
from ser_agent.messages import make_event
from ser_agent.pipeline.stage import POLL_S, Stage, Surroundings
from ser_agent.pipeline.worker import OverTime, Worker
from ser_agent.ports import NON_SPEECH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ser_agent.audio import Utterance
    from ser_agent.pipeline.waiting import UtteranceQueue
    from ser_agent.ports import Answer, Distribution, EmotionClassifier

log = logging.getLogger(__name__)

BATCH = 8
SUM_TOLERANCE = 1e-3
PATIENCE = 3
"""So many times in a row the classifier may exceed its limit of time: then it hangs, and the process is to end."""


@dataclass(frozen=True, slots=True)
class EventStyle:
    """What an event says beside the utterance itself.

    Attributes:
        site: which agent.
        source: kind of the source.
        model: name and revision of the model.
        top: how many labels an event tells.
    """

    site: str
    source: str
    model: str
    top: int


class ClassifyStage(Stage):
    """Classifies what waits, several at a time where several wait. What fails is counted, and work goes on.

    The classifier works in a thread of its own and is waited for only so long, since it may hang.
    """

    def __init__(
        self,
        classifier: EmotionClassifier,
        upstream: UtteranceQueue,
        style: EventStyle,
        surroundings: Surroundings,
        time_limit_s: float,
    ) -> None:
        """Prepare.

        Args:
            classifier: loaded.
            upstream: where utterances come from.
            style: what an event says beside the utterance itself.
            surroundings: what all stages share.
            time_limit_s: how long the classifier may take for one utterance.
        """
        super().__init__("classify", surroundings)
        self._classifier = classifier
        self._upstream = upstream
        self._style = style
        self._time_limit_s = time_limit_s
        self._recorder = surroundings.recorder
        self._over_time = 0
        self._worker: Worker[list[Answer]] = Worker("classifier")

    def work(self) -> None:
        """Classify until the queue is closed and empty.

        Raises:
            SerAgentError: the classifier hangs.
        """
        try:
            if self._recorder is not None:
                self._recorder.open()
            while True:
                self.beat()
                if batch := self._upstream.take(BATCH, POLL_S):
                    try:
                        self._classify(batch)
                    finally:
                        _overwrite(batch)
        except Closed:
            return
        finally:
            self._worker.close()
            self._upstream.close()
            self._publisher.close()
            if self._recorder is not None:
                self._recorder.close()

    def _classify(self, batch: Sequence[Utterance]) -> None:
        if not self._controls.listening:
            self._metrics.dropped("muted", len(batch))
            return
        began = time.monotonic()
        answers = self._answers(batch)
        if answers is None:
            return
        self._metrics.classified(sum(utterance.duration_s for utterance in batch), time.monotonic() - began)
        if len(answers) != len(batch):
            self._metrics.failed("invalid", len(batch))
            log.warning("the classifier gave %d answers to %d utterances: none is used", len(answers), len(batch))
            return
        for utterance, answer in zip(batch, answers, strict=True):
            self._settle(utterance, answer)

    def _answers(self, batch: Sequence[Utterance]) -> list[Answer] | None:
        """What the classifier says; None where it fails, which is counted.

        Raises:
            SerAgentError: it hangs.
        """
        limit_s = self._time_limit_s * len(batch)
        try:
            answers = self._worker.run(
                lambda: list(self._classifier.classify(batch)), limit_s, beat=self.beat, every_s=POLL_S
            )
        except OverTime:
            self._exceeded(limit_s, len(batch))
            return None
        except ClassificationError as error:
            log.warning("%d utterances not classified: %s", len(batch), error)
        except Exception:
            log.exception("%d utterances not classified: the classifier raised", len(batch))
        else:
            self._over_time = 0
            return answers
        self._over_time = 0
        self._metrics.failed("classifier", len(batch))
        return None

    def _exceeded(self, limit_s: float, count: int) -> None:
        self._metrics.failed("time_limit", count)
        self._over_time += 1
        log.error("%d utterances not classified: no answer within %g s", count, limit_s)
        if self._over_time >= PATIENCE:
            raise SerAgentError(f"the classifier hangs: {PATIENCE} times in a row no answer within its time limit")

    def _settle(self, utterance: Utterance, answer: Answer) -> None:
        if not self._controls.listening:
            self._metrics.dropped("muted")
        elif answer is NON_SPEECH:
            self._metrics.dropped("non_speech")
            log.debug("utterance dropped: nobody spoke")
        else:
            self._publish(utterance, answer)

    def _publish(self, utterance: Utterance, answer: Distribution) -> None:
        distribution = _checked(answer)
        if distribution is None:
            self._metrics.failed("invalid")
            log.warning("utterance not classified: the classifier's answer is no distribution")
            return
        now = time.monotonic()
        latency_s = now - min(now, utterance.closed_at)
        event = make_event(
            utterance,
            distribution,
            site=self._style.site,
            source=self._style.source,
            model=self._style.model,
            started_at=datetime.fromtimestamp(time.time() + utterance.captured_at - now, UTC),
            latency_s=latency_s,
            top=self._style.top,
            min_confidence=self._controls.min_confidence,
        )
        self._publisher.publish(event)
        if self._recorder is not None:
            self._recorder.keep(event.id, utterance.samples)
        self._metrics.published(latency_s)


def _overwrite(batch: Sequence[Utterance]) -> None:
    """Let nothing of the sound stay in memory, whoever may still hold the utterances."""
    for utterance in batch:
        if utterance.samples.flags.writeable:
            utterance.samples.fill(0)


def _checked(answer: Distribution) -> dict[str, float] | None:
    """The answer with what rounding has done to its ends undone; None where it is no distribution."""
    try:
        scores = {str(label): float(score) for label, score in answer.items()}
    except (AttributeError, TypeError, ValueError):
        return None
    in_range = all(-SUM_TOLERANCE <= score <= 1 + SUM_TOLERANCE for score in scores.values())
    if not scores or not in_range or not abs(sum(scores.values()) - 1.0) <= SUM_TOLERANCE:
        return None
    return {label: min(1.0, max(0.0, score)) for label, score in scores.items()}
