"""The middle stage: utterances in, emotion events out."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ser_agent.buffer import BoundedQueue, Closed
from ser_agent.errors import ClassificationError
from ser_agent.messages import make_event
from ser_agent.pipeline.stage import POLL_S, Stage, Surroundings
from ser_agent.ports import NON_SPEECH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ser_agent.audio import Utterance
    from ser_agent.ports import Answer, Distribution, EmotionClassifier

log = logging.getLogger(__name__)

BATCH = 4
SUM_TOLERANCE = 1e-3


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
    """Classifies what waits, several at a time where several wait. What fails is counted, and work goes on."""

    def __init__(
        self,
        classifier: EmotionClassifier,
        upstream: BoundedQueue[Utterance],
        style: EventStyle,
        surroundings: Surroundings,
    ) -> None:
        super().__init__("classify", surroundings)
        self._classifier = classifier
        self._upstream = upstream
        self._style = style

    def work(self) -> None:
        """Classify until the queue is closed and empty."""
        try:
            while True:
                self.beat()
                first = self._upstream.get(POLL_S)
                if first is not None:
                    self._classify(self._with_waiting(first))
        except Closed:
            return
        finally:
            self._upstream.close()
            self._publisher.close()

    def _with_waiting(self, first: Utterance) -> list[Utterance]:
        batch = [first]
        try:
            while len(batch) < BATCH and (more := self._upstream.get(0)) is not None:
                batch.append(more)
        except Closed:
            pass  # the next get says so again
        return batch

    def _classify(self, batch: Sequence[Utterance]) -> None:
        if not self._controls.listening:
            self._metrics.dropped("muted", len(batch))
            return
        began = time.monotonic()
        try:
            answers = list(self._classifier.classify(batch))
        except ClassificationError as error:
            self._metrics.failed("classifier", len(batch))
            log.warning("%d utterances not classified: %s", len(batch), error)
            return
        except Exception:
            self._metrics.failed("classifier", len(batch))
            log.exception("%d utterances not classified: the classifier raised", len(batch))
            return
        self._metrics.classified(sum(utterance.duration_s for utterance in batch), time.monotonic() - began)
        if len(answers) != len(batch):
            self._metrics.failed("invalid", len(batch))
            log.warning("the classifier gave %d answers to %d utterances: none is used", len(answers), len(batch))
            return
        for utterance, answer in zip(batch, answers, strict=True):
            self._settle(utterance, answer)

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
        self._metrics.published(latency_s)


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
