"""Utterances to answers, many at a time: what makes ``ser-agent classify`` of a folder fast, in bounded memory."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from ser_agent.audio import SAMPLE_RATE
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Options
from ser_agent.ports import answered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ser_agent.audio import Utterance
    from ser_agent.config import Loaded
    from ser_agent.ports import Answer, EmotionClassifier

LEAST_BATCH: Final = 16
BATCH_PER_CORE: Final = 4
"""Threads that are done with a batch wait for the last one: the more rounds they go, the less it matters."""
BATCHES: Final = 4
"""So many are formed at a time, each of utterances of like length."""
WINDOW_S: Final = 300
"""Sound that is collected for them at most; two such windows are in memory."""

_Origin = TypeVar("_Origin")


def on_all_cores(loaded: Loaded) -> Loaded:
    """Let the classifier use every core, where nobody said how many: here nothing has to be heard meanwhile."""
    classifier = loaded.config.classifier
    if not isinstance(classifier, Wav2Vec2Options) or classifier.threads is not None:
        return loaded
    threads = classifier.model_copy(update={"threads": len(os.sched_getaffinity(0))})
    return replace(loaded, config=loaded.config.model_copy(update={"classifier": threads}))


def answers_to(
    classifier: EmotionClassifier, utterances: Iterable[tuple[_Origin, Utterance]]
) -> Iterator[tuple[_Origin, Utterance, Answer]]:
    """Classify utterances while the next ones are being read.

    Args:
        classifier: loaded when the first utterance has come.
        utterances: each with what tells where it is from; any number.

    Yields:
        Each with its answer, in the order in which they came.

    Raises:
        ModelError: the model cannot be had.
        ClassificationError: one could not be classified.
    """
    worker = ThreadPoolExecutor(1, "classify")
    before: _Asked[_Origin] | None = None
    try:
        for window in _windows(utterances):
            classifier.load()  # not before there is something to classify; once loaded, it does nothing
            after = _asked(worker, classifier, window)
            if before is not None:
                yield from before.told()
            before = after
        if before is not None:
            yield from before.told()
    finally:
        worker.shutdown(cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Asked(Generic[_Origin]):
    """Utterances on their way through the classifier: batches, each with the utterances' places."""

    window: list[tuple[_Origin, Utterance]]
    batches: list[tuple[list[int], Future[Sequence[Answer]]]]

    def told(self) -> Iterator[tuple[_Origin, Utterance, Answer]]:
        """Each with its answer, in the order given."""
        answers: dict[int, Answer] = {}
        for places, found in self.batches:
            answers.update(zip(places, answered(found.result()), strict=True))
        for place, (origin, utterance) in enumerate(self.window):
            yield origin, utterance, answers[place]


def _asked(
    worker: ThreadPoolExecutor, classifier: EmotionClassifier, window: list[tuple[_Origin, Utterance]]
) -> _Asked[_Origin]:
    """Let those of like length go together, so that none of a batch waits for a longer one, or is padded to it."""
    by_length = sorted(range(len(window)), key=lambda place: len(window[place][1].samples))
    size = _batch_size()
    batches = [by_length[start : start + size] for start in range(0, len(by_length), size)]
    utterances = [utterance for _, utterance in window]
    return _Asked(
        window,
        [
            (places, worker.submit(classifier.classify, [utterances[place] for place in places]))
            for places in batches
        ],
    )


def _windows(utterances: Iterable[tuple[_Origin, Utterance]]) -> Iterator[list[tuple[_Origin, Utterance]]]:
    """What is looked at together; bounded in number and in sound."""
    window: list[tuple[_Origin, Utterance]] = []
    samples = 0
    for origin, utterance in utterances:
        window.append((origin, utterance))
        samples += len(utterance.samples)
        if len(window) >= BATCHES * _batch_size() or samples >= WINDOW_S * SAMPLE_RATE:
            yield window
            window, samples = [], 0
    if window:
        yield window


def _batch_size() -> int:
    return max(LEAST_BATCH, BATCH_PER_CORE * len(os.sched_getaffinity(0)))
