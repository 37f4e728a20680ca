"""The stage that hears all commands under way, and what tells each of them the classifier's answers."""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

from ser_agent.audio import Utterance
from ser_agent.messages import SpeechState
from ser_agent.pipeline.stage import POLL_S, Stage, Surroundings
from ser_agent.segmenter import Discarded, SpeechEnded, SpeechStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ser_agent.assistants.hearing import Hearing
    from ser_agent.endpointing import Endpointer
    from ser_agent.pipeline.waiting import UtteranceQueue
    from ser_agent.ports import Answer, EmotionClassifier, ModelInfo
    from ser_agent.segmenter import SegmenterOutput

log = logging.getLogger(__name__)

MOST_SPARE = 4
"""Endpointers that are kept for the next command: making a detector takes a while."""


class Owners:
    """Which command an utterance belongs to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[int, tuple[Utterance, Hearing]] = {}

    def note(self, utterance: Utterance, hearing: Hearing) -> None:
        """An utterance of a command goes to the classifier."""
        hearing.expect()
        with self._lock:
            self._owners[id(utterance)] = (utterance, hearing)

    def answer(self, utterance: Utterance, answer: Answer | None) -> None:
        """Tell the command what the classifier said; None where it said nothing."""
        with self._lock:
            _, hearing = self._owners.pop(id(utterance), (None, None))
        if hearing is not None:
            hearing.take_answer(utterance, answer)

    def abandon(self) -> None:
        """Nobody will be told anything any more of what is on its way."""
        with self._lock:
            utterances = [utterance for utterance, _ in self._owners.values()]
        for utterance in utterances:
            self.answer(utterance, None)


class TellingClassifier:
    """A classifier that also tells each answer to whom the utterance belongs to."""

    def __init__(self, classifier: EmotionClassifier, owners: Owners) -> None:
        self._classifier = classifier
        self._owners = owners

    def load(self) -> ModelInfo:
        """Load the model."""
        return self._classifier.load()

    def classify(self, utterances: Sequence[Utterance]) -> Sequence[Answer]:
        """Classify, and tell."""
        answers: Sequence[Answer | None] = ()
        try:
            given = list(self._classifier.classify(utterances))
            answers = given if len(given) == len(utterances) else ()
            return given
        finally:
            for utterance, answer in zip(utterances, answers or [None] * len(utterances), strict=True):
                self._owners.answer(utterance, answer)

    def close(self) -> None:
        """Let the model go."""
        self._classifier.close()


class EarsStage(Stage):
    """Finds the utterances of all commands under way, in one thread."""

    def __init__(
        self,
        make_endpointer: Callable[[], Endpointer],
        downstream: UtteranceQueue,
        owners: Owners,
        surroundings: Surroundings,
    ) -> None:
        super().__init__("ears", surroundings)
        self._make_endpointer = make_endpointer
        self._downstream = downstream
        self._owners = owners
        self._calls: queue.SimpleQueue[Hearing | None] = queue.SimpleQueue()
        self._spare: list[Endpointer] = []
        self._speaking: set[Hearing] = set()

    def schedule(self, hearing: Hearing) -> None:
        """Have a command hear what waits for it; from any thread."""
        self._calls.put(hearing)

    def stop(self) -> None:
        """Hear what waits, and end."""
        self._calls.put(None)

    def work(self) -> None:
        """Hear until stopped."""
        try:
            while True:
                self.beat()
                try:
                    hearing = self._calls.get(timeout=POLL_S)
                except queue.Empty:
                    continue
                if hearing is None:
                    return
                hearing.hear()
        finally:
            self._downstream.close()

    def lend(self) -> Endpointer:
        """An endpointer that has heard nothing yet."""
        return self._spare.pop() if self._spare else self._make_endpointer()

    def take_back(self, endpointer: Endpointer) -> None:
        """Keep an endpointer for the next command."""
        if len(self._spare) < MOST_SPARE:
            self._spare.append(endpointer)

    def handle(self, hearing: Hearing, outputs: Iterable[SegmenterOutput]) -> None:
        """Count, tell and hand over what a command's endpointer found."""
        for output in outputs:
            match output:
                case SpeechStarted():
                    self._metrics.began()
                    self._say_who_speaks(self._speaking | {hearing})
                case Utterance():
                    self._hand_over(hearing, output)
                case Discarded():
                    self._metrics.dropped("too_short")
                case SpeechEnded():
                    self._say_who_speaks(self._speaking - {hearing})

    def _say_who_speaks(self, speaking: set[Hearing]) -> None:
        if bool(speaking) != bool(self._speaking):
            self._publisher.publish(SpeechState(speaking=bool(speaking)))
        self._speaking = speaking

    def _hand_over(self, hearing: Hearing, utterance: Utterance) -> None:
        self._owners.note(utterance, hearing)
        if not self._controls.listening:
            self._metrics.dropped("muted")
            self._owners.answer(utterance, None)
            return
        for dropped in self._downstream.put(utterance):
            self._metrics.dropped("overload")
            log.warning("the classifier does not keep up: dropped the oldest utterance waiting")
            self._owners.answer(dropped, None)
