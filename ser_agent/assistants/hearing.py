"""One command: how it was said, while somebody else finds out what was said."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ser_agent.audio import SAMPLE_RATE, AudioFrame, Utterance
from ser_agent.labels import UNCERTAIN
from ser_agent.messages import top_scores
from ser_agent.pcm import PcmDecoder
from ser_agent.ports import distribution_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ser_agent.endpointing import Endpointer
    from ser_agent.messages import EmotionScore
    from ser_agent.pcm import PcmFormat
    from ser_agent.ports import Answer
    from ser_agent.segmenter import SegmenterOutput

MOST_WAITING_BYTES = 8_388_608
"""Sound of one command that waits for the detector where it comes faster than it can be heard; more is dropped."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a command sounded.

    Attributes:
        scores: all labels, best first; where the command had several utterances, their mean by length.
        duration_s: how much speech it had.
    """

    scores: tuple[EmotionScore, ...]
    duration_s: float

    def in_words(self, top: int, min_confidence: float) -> dict[str, Any]:
        """What an assistant is told: plain JSON values, named as in an event.

        Args:
            top: how many labels.
            min_confidence: the threshold under which the emotion is ``uncertain``.
        """
        best = self.scores[0]
        return {
            "emotion": best.label if best.score >= min_confidence else UNCERTAIN,
            "confidence": best.score,
            "emotions": [score.model_dump() for score in self.scores[:top]],
            "duration_s": round(self.duration_s, 3),
        }


class Listener(Protocol):
    """Who hears for a command."""

    def schedule(self, hearing: Hearing) -> None:
        """Call ``hear`` soon, in the one thread for that."""

    def lend(self) -> Endpointer:
        """An endpointer that has heard nothing yet."""

    def take_back(self, endpointer: Endpointer) -> None:
        """An endpointer that is no longer needed."""

    def handle(self, hearing: Hearing, outputs: Iterable[SegmenterOutput]) -> None:
        """Do what an endpointer's outputs ask for."""


class Hearing:
    """One command, from the first of its sound to the last.

    Attributes:
        result: the verdict, once the command has ended and all of it is classified; None where nobody spoke.
    """

    def __init__(self, listener: Listener, pcm: PcmFormat) -> None:
        """Begin.

        Args:
            listener: hears for it.
            pcm: how the sound is written; must be usable.
        """
        self.result: Future[Verdict | None] = Future()
        self._listener = listener
        self._decoder = PcmDecoder(pcm)
        self._lock = threading.Lock()
        self._chunks: deque[tuple[bytes, float] | None] = deque()
        self._waiting_bytes = 0
        self._scheduled = False
        self._finished = False
        self._ended = False
        self._unanswered = 0
        self._answers: list[tuple[float, Mapping[str, float]]] = []
        self._endpointer: Endpointer | None = None
        self._offset = 0

    def feed(self, raw: bytes) -> None:
        """Take the next sound; returns at once."""
        with self._lock:
            if self._finished or self._waiting_bytes + len(raw) > MOST_WAITING_BYTES:
                return
            self._waiting_bytes += len(raw)
            self._append((raw, time.monotonic()))

    def finish(self) -> None:
        """The command has ended; returns at once. May be called more than once."""
        with self._lock:
            if not self._finished:
                self._finished = True
                self._append(None)

    @property
    def finished(self) -> bool:
        """Whether the command has ended."""
        return self._finished

    def hear(self) -> None:
        """Hear what waits. In the listener's thread only."""
        while True:
            with self._lock:
                if not self._chunks:
                    self._scheduled = False
                    return
                chunk = self._chunks.popleft()
                if chunk is not None:
                    self._waiting_bytes -= len(chunk[0])
            if chunk is None:
                self._end()
            else:
                self._take(*chunk)

    def expect(self) -> None:
        """An utterance of this command goes to the classifier."""
        with self._lock:
            self._unanswered += 1

    def take_answer(self, utterance: Utterance, answer: Answer | None) -> None:
        """The classifier's answer, in any thread; None where there is none."""
        with self._lock:
            self._unanswered -= 1
            distribution = None if answer is None else distribution_of(answer)
            if distribution is not None:
                self._answers.append((utterance.duration_s, distribution))
            self._settle()

    def give_up(self) -> None:
        """No more will come of it."""
        with self._lock:
            self._finished = self._ended = True
            if not self.result.done():
                self.result.set_result(None)

    def _append(self, chunk: tuple[bytes, float] | None) -> None:
        self._chunks.append(chunk)
        if not self._scheduled:
            self._scheduled = True
            self._listener.schedule(self)

    def _take(self, raw: bytes, arrived_at: float, *, last: bool = False) -> None:
        samples = self._decoder.decode(raw, last=last)
        if len(samples) == 0:
            return
        if self._endpointer is None:
            self._endpointer = self._listener.lend()
        frame = AudioFrame(samples, self._offset, arrived_at - len(samples) / SAMPLE_RATE)
        self._offset += len(samples)
        self._listener.handle(self, self._endpointer.feed(frame))

    def _end(self) -> None:
        self._take(b"", time.monotonic(), last=True)
        if self._endpointer is not None:
            self._listener.handle(self, self._endpointer.finish("end_of_stream"))
            self._listener.take_back(self._endpointer)
            self._endpointer = None
        with self._lock:
            self._ended = True
            self._settle()

    def _settle(self) -> None:
        if self._ended and not self._unanswered and not self.result.done():
            self.result.set_result(verdict_of(self._answers))


def verdict_of(answers: list[tuple[float, Mapping[str, float]]]) -> Verdict | None:
    """The mean of several utterances' distributions, weighted by their length; None of nothing or nonsense."""
    total_s = sum(duration_s for duration_s, _ in answers)
    if not total_s:
        return None
    mean: dict[str, float] = {}
    try:
        for duration_s, distribution in answers:
            for label, score in distribution.items():
                mean[label] = mean.get(label, 0.0) + float(score) * duration_s / total_s
        scores = top_scores({label: min(1.0, max(0.0, score)) for label, score in mean.items()}, None)
    except (AttributeError, TypeError, ValueError):
        return None  # the stage that publishes says so
    return Verdict(scores, total_s)
