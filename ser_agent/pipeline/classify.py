"""The middle stage: utterances in, emotion events out."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ser_agent.audio import overwrite
from ser_agent.buffer import Closed
from ser_agent.errors import ClassificationError, SerAgentError
from ser_agent.messages import make_event, make_partial
from ser_agent.pipeline.foreseen import Foreseen
from ser_agent.pipeline.stage import POLL_S, Stage, Surroundings
from ser_agent.pipeline.worker import OverTime, Worker
from ser_agent.ports import NON_SPEECH, Attributed, Unanswered, distribution_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ser_agent.audio import Draft, Utterance
    from ser_agent.messages import EmotionEvent
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
        self._foreseen = Foreseen()
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
                        overwrite(batch)
                elif draft := self._upstream.take_draft():
                    try:
                        self._hear_draft(draft)
                    finally:
                        overwrite([draft.utterance])
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
        unheard = []
        for utterance in batch:
            if (foreseen := self._foreseen.take(utterance)) is None:
                unheard.append(utterance)
            else:
                self._settle(utterance, foreseen)
        answers = self._answers(unheard) if unheard else []
        if isinstance(answers, str):
            self._metrics.failed(answers, len(unheard))
            self._check_patience()
            return
        for utterance, answer in zip(unheard, answers, strict=True):
            self._settle(utterance, answer)

    def _hear_draft(self, draft: Draft) -> None:
        """Classify what may be a whole utterance, or is none yet. Only its end puts it into the books."""
        if not self._controls.listening:
            return
        answers = self._answers([draft.utterance])
        self._check_patience()
        for answer in () if isinstance(answers, str) else answers:
            if draft.kind == "early" and not isinstance(answer, Unanswered):
                self._foreseen.keep(draft.utterance, answer)
            elif self._controls.listening and (event := self._event(draft.utterance, answer)) is not None:
                self._publisher.publish(make_partial(event))

    def _answers(self, batch: Sequence[Utterance]) -> list[Answer] | str:
        """What the classifier says, one answer for each; or, where it fails, the reason to be counted."""
        began = time.monotonic()
        answers = self._asked(batch)
        if isinstance(answers, str):
            return answers
        self._metrics.classified(sum(utterance.duration_s for utterance in batch), time.monotonic() - began)
        if len(answers) == len(batch):
            return answers
        log.warning("the classifier gave %d answers to %d utterances: none is used", len(answers), len(batch))
        return "invalid"

    def _asked(self, batch: Sequence[Utterance]) -> list[Answer] | str:
        limit_s = self._time_limit_s * len(batch)
        try:
            answers = self._worker.run(
                lambda: list(self._classifier.classify(batch)), limit_s, beat=self.beat, every_s=POLL_S
            )
        except OverTime:
            self._over_time += 1
            log.error("%d utterances not classified: no answer within %g s", len(batch), limit_s)  # noqa: TRY400 - no bug of ours
            return "time_limit"
        except ClassificationError as error:
            log.warning("%d utterances not classified: %s", len(batch), error)
        except Exception:
            log.exception("%d utterances not classified: the classifier raised", len(batch))
        else:
            self._over_time = 0
            return answers
        self._over_time = 0
        return "classifier"

    def _check_patience(self) -> None:
        """End where the classifier hangs.

        Raises:
            SerAgentError: it does.
        """
        if self._over_time >= PATIENCE:
            raise SerAgentError(f"the classifier hangs: {PATIENCE} times in a row no answer within its time limit")

    def _settle(self, utterance: Utterance, answer: Answer) -> None:
        if not self._controls.listening:
            self._metrics.dropped("muted")
        elif answer is NON_SPEECH:
            self._metrics.dropped("non_speech")
            log.debug("utterance dropped: nobody spoke")
        elif isinstance(answer, Unanswered):
            self._metrics.failed(answer.reason)
            log.debug("utterance not classified: %s", answer.reason)
        else:
            self._publish(utterance, answer)

    def _publish(self, utterance: Utterance, answer: Distribution) -> None:
        event = self._event(utterance, answer)
        if event is None:
            self._metrics.failed("invalid")
            log.warning("utterance not classified: the classifier's answer is no distribution")
            return
        self._publisher.publish(event)
        if self._recorder is not None:
            self._recorder.keep(event.id, utterance.samples)
        self._metrics.published(event.latency_ms / 1000)

    def _event(self, utterance: Utterance, answer: Answer) -> EmotionEvent | None:
        """The event of an utterance; None where the answer is no distribution."""
        given = distribution_of(answer)
        distribution = None if given is None else _checked(given)
        if distribution is None:
            return None
        now = time.monotonic()
        latency_s = now - min(now, utterance.closed_at)
        return make_event(
            utterance,
            distribution,
            site=self._style.site,
            source=self._style.source,
            model=answer.model if isinstance(answer, Attributed) else self._style.model,
            started_at=datetime.fromtimestamp(time.time() + utterance.captured_at - now, UTC),
            latency_s=latency_s,
            top=self._style.top,
            min_confidence=self._controls.min_confidence,
        )


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
