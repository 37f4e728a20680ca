from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ser_agent.assistants.hearing import MOST_WAITING_BYTES, Hearing, verdict_of
from ser_agent.audio import HOP_SAMPLES, Utterance
from ser_agent.endpointing import Endpointer
from ser_agent.pcm import PcmFormat
from ser_agent.ports import NON_SPEECH
from ser_agent.segmenter import Segmenter, SegmenterOptions
from ser_agent.testing import LoudnessDetector, tone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ser_agent.segmenter import SegmenterOutput

PCM = PcmFormat(16_000, 2, 1)


class Patient:
    """A listener that hears only when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Hearing] = []
        self.found: list[Utterance] = []
        self.made = 0

    def schedule(self, hearing: Hearing) -> None:
        self.waiting.append(hearing)

    def lend(self) -> Endpointer:
        self.made += 1
        return Endpointer(LoudnessDetector(), Segmenter(SegmenterOptions(), 0.5))

    def take_back(self, endpointer: Endpointer) -> None:
        self.made -= 1

    def handle(self, hearing: Hearing, outputs: Iterable[SegmenterOutput]) -> None:
        for output in outputs:
            if isinstance(output, Utterance):
                hearing.expect()
                self.found.append(output)

    def hear(self) -> None:
        while self.waiting:
            self.waiting.pop(0).hear()


def test_the_verdict_comes_once_the_command_has_ended_and_all_of_it_is_answered() -> None:
    listener = Patient()
    hearing = Hearing(listener, PCM)
    hearing.feed(tone(1.0).tobytes())
    hearing.feed(bytes(2 * 16_000))
    listener.hear()
    (first,) = listener.found
    hearing.take_answer(first, {"happy": 1.0})
    assert not hearing.result.done()
    hearing.feed(tone(1.0).tobytes())
    hearing.finish()
    listener.hear()
    assert not hearing.result.done()
    hearing.take_answer(listener.found[1], NON_SPEECH)
    verdict = hearing.result.result(timeout=0)
    assert verdict is not None
    assert verdict.duration_s == first.duration_s
    assert listener.made == 0


def test_what_comes_faster_than_it_can_be_heard_is_dropped_so_memory_is_bounded() -> None:
    listener = Patient()
    hearing = Hearing(listener, PCM)
    chunk = bytes(65_536)
    for _ in range(2 * MOST_WAITING_BYTES // len(chunk)):
        hearing.feed(chunk)
    assert hearing._waiting_bytes <= MOST_WAITING_BYTES
    assert len(listener.waiting) == 1
    hearing.finish()
    listener.hear()
    assert hearing.result.result(timeout=0) is None
    assert hearing._offset == MOST_WAITING_BYTES // 2


def test_after_its_end_nothing_more_is_heard() -> None:
    listener = Patient()
    hearing = Hearing(listener, PCM)
    hearing.finish()
    hearing.finish()
    hearing.feed(tone(1.0).tobytes())
    listener.hear()
    assert hearing.result.result(timeout=0) is None
    assert hearing._offset == 0


@pytest.mark.parametrize("size", [1, 333, HOP_SAMPLES * 2, 32_000])
def test_how_the_sound_is_cut_makes_no_difference(size: int) -> None:
    listener = Patient()
    hearing = Hearing(listener, PCM)
    data = np.concatenate([tone(0.8), np.zeros(16_000, np.int16)]).tobytes()
    step = max(size, len(data) // 2000)
    for start in range(0, len(data), step):
        hearing.feed(data[start : start + step])
    hearing.finish()
    listener.hear()
    (found,) = listener.found
    assert (found.offset, len(found.samples)) == (0, 32 * HOP_SAMPLES)


@pytest.mark.parametrize(
    ("answers", "best"),
    [
        ([(1.0, {"happy": 0.6, "sad": 0.4}), (3.0, {"happy": 0.2, "sad": 0.8})], ("sad", 0.7)),
        ([(1.0, {"happy": 1.0, "sad": 0.0})], ("happy", 1.0)),
    ],
)
def test_several_answers_are_one_by_their_length(
    answers: list[tuple[float, Mapping[str, float]]], best: tuple[str, float]
) -> None:
    verdict = verdict_of(answers)
    assert verdict is not None
    assert (verdict.scores[0].label, verdict.scores[0].score) == best


@pytest.mark.parametrize("answers", [[], [(1.0, {"happy": "much"})], [(1.0, None)]])
def test_of_nothing_and_of_nonsense_there_is_no_verdict(answers: list[tuple[float, Mapping[str, float]]]) -> None:
    assert verdict_of(answers) is None
