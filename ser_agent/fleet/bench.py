"""The thread that classifies. Its fault is never another one's: what fails is said, and work goes on."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from ser_agent.audio import overwrite
from ser_agent.buffer import Closed
from ser_agent.errors import ClassificationError
from ser_agent.fleet_fields import WireError, is_text, scores
from ser_agent.fleet_wire import Reply
from ser_agent.ports import NON_SPEECH, Attributed, Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ser_agent.audio import Utterance
    from ser_agent.fleet.desk import Desk
    from ser_agent.fleet.tasks import Task
    from ser_agent.ports import Answer, EmotionClassifier

log = logging.getLogger(__name__)

POLL_S: Final = 0.5
BEGINNING_S: Final = 1.0
"""How long the word that something is begun with may take to leave; with no broker it can't."""
FAILED: Final = "classifier"
INVALID: Final = "invalid"


class Bench:
    """Classifies what a desk has, in batches, in a thread of its own."""

    def __init__(  # noqa: PLR0913 - made in one place
        self,
        classifier: EmotionClassifier,
        model: str,
        desk: Desk,
        *,
        worker: str,
        batch: int,
        time_limit_s: float,
    ) -> None:
        """Prepare.

        Args:
            classifier: loaded.
            model: name of its model.
            desk: where utterances come from, and answers go to.
            worker: name of this worker.
            batch: so many utterances at a time, at most.
            time_limit_s: how long the classifier may take for one utterance.
        """
        self._classifier = classifier
        self._model = model
        self._desk = desk
        self._worker = worker
        self._batch = batch
        self._time_limit_s = time_limit_s
        self._due_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="fleet-bench", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait for the end, which comes once the desk is closed and has nothing more."""
        self._thread.join(timeout_s)

    @property
    def fault(self) -> str | None:
        """What keeps it from working for good; None where nothing does."""
        due_s = self._due_s
        if due_s is not None and time.monotonic() > due_s:
            return f"the classifier hangs: it takes more than {self._time_limit_s:g} s for an utterance"
        return None if self._thread.is_alive() else "the thread that classifies has ended"

    def _run(self) -> None:
        try:
            while True:
                for part in _parts(self._desk.take(self._batch, POLL_S)):
                    self._work(part)
        except Closed:
            return
        except Exception:
            log.exception("the thread that classifies ends by an unexpected fault")

    def _work(self, taken: Mapping[Utterance, Task]) -> None:
        self._desk.begin(taken.values(), BEGINNING_S)
        try:
            for utterance, answer in self._answers(list(taken)):
                self._desk.answer(taken[utterance], self._reply(taken[utterance], answer))
        finally:
            overwrite(taken)

    def _answers(self, batch: Sequence[Utterance]) -> Iterator[tuple[Utterance, Answer]]:
        """Each with its answer; where they fail together, each is tried alone."""
        answers = self._together(batch)
        if answers is not None:
            yield from zip(batch, answers, strict=True)
        elif len(batch) == 1:
            yield batch[0], Unanswered(FAILED)
        else:
            for utterance in batch:
                yield from self._answers([utterance])

    def _together(self, batch: Sequence[Utterance]) -> Sequence[Answer] | None:
        """The answers; None where there are none."""
        self._due_s = time.monotonic() + self._time_limit_s * len(batch)
        try:
            answers = list(self._classifier.classify(batch))
        except ClassificationError as error:
            log.warning("%d utterances not classified: %s", len(batch), error)
        except Exception:
            log.exception("%d utterances not classified: the classifier raised", len(batch))
        else:
            if len(answers) == len(batch):
                return answers
            log.warning("the classifier gave %d answers to %d utterances: none is used", len(answers), len(batch))
        finally:
            self._due_s = None
        return None

    def _reply(self, task: Task, answer: Answer) -> Reply:
        of, worker = task.ask.id, self._worker
        if isinstance(answer, Unanswered):
            return Reply(of, "failed", worker, reason=answer.reason if is_text(answer.reason) else FAILED)
        if answer is NON_SPEECH:
            return Reply(of, "non_speech", worker, model=self._model)
        model = answer.model if isinstance(answer, Attributed) else self._model
        try:
            distribution = scores({str(label): float(score) for label, score in answer.items()})
        except (AttributeError, TypeError, ValueError, WireError):
            log.warning("an utterance was not classified: the classifier's answer is no distribution")
            return Reply(of, "failed", worker, reason=INVALID)
        return Reply(of, "answered", worker, model=model, scores=distribution)


def _parts(taken: Mapping[Utterance, Task]) -> Iterator[Mapping[Utterance, Task]]:
    """What goes together: first tries do, a second goes alone, as the first may have cost a worker its life."""
    first = {utterance: task for utterance, task in taken.items() if task.ask.attempt == 1}
    if first:
        yield first
    for utterance, task in taken.items():
        if utterance not in first:
            yield {utterance: task}
