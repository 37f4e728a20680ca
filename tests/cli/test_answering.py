"""How ``ser-agent classify`` shares out a folder: like lengths together, in order, so far ahead and no further."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_agent.audio import SAMPLE_RATE, Utterance
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Options
from ser_agent.cli import answering
from ser_agent.cli.answering import BATCHES, WINDOW_S, answers_to, on_all_cores
from ser_agent.config import load
from ser_agent.errors import ClassificationError
from ser_agent.ports import ModelInfo, Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.command_line import Command

    from ser_agent.ports import Answer

BATCH = 4
WINDOW = BATCHES * BATCH


class Lengths:
    """A classifier that answers with an utterance's length, and remembers what it was asked together."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.loads = 0

    def load(self) -> ModelInfo:
        self.loads += 1
        return ModelInfo("lengths", ("samples",))

    def classify(self, utterances: Sequence[Utterance]) -> Sequence[Answer]:
        self.asked.append([len(utterance.samples) for utterance in utterances])
        return [{"samples": float(len(utterance.samples))} for utterance in utterances]

    def close(self) -> None:
        """Nothing to let go."""


def utterance(samples: int) -> Utterance:
    return Utterance(np.ones(samples, np.int16), 0, "end_of_stream", captured_at=0.0, closed_at=1.0)


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "_batch_size", lambda: BATCH)


@given(lengths=st.lists(st.integers(1, 50), max_size=3 * WINDOW))
@settings(max_examples=50)
def test_each_utterance_gets_its_answer_in_the_order_given(lengths: list[int]) -> None:
    classifier = Lengths()
    told = list(answers_to(classifier, enumerate(map(utterance, lengths))))
    assert [(origin, len(heard.samples)) for origin, heard, _ in told] == list(enumerate(lengths))
    assert [answer for _, _, answer in told] == [{"samples": float(length)} for length in lengths]
    assert sorted(length for batch in classifier.asked for length in batch) == sorted(lengths)
    assert max(map(len, classifier.asked), default=0) <= BATCH


def test_those_of_like_length_are_classified_together() -> None:
    classifier = Lengths()
    lengths = [10, 1000] * (WINDOW // 2)
    list(answers_to(classifier, enumerate(map(utterance, lengths))))
    assert classifier.asked == [[10] * BATCH, [10] * BATCH, [1000] * BATCH, [1000] * BATCH]


def test_no_more_is_read_ahead_than_two_windows() -> None:
    read = 0

    def endless() -> Iterator[tuple[int, Utterance]]:
        nonlocal read
        while True:
            yield read, utterance(10)
            read += 1

    told = answers_to(Lengths(), endless())
    for number in range(5 * WINDOW):
        assert next(told)[0] == number
        assert read <= number + 2 * WINDOW


def test_long_utterances_make_a_window_by_themselves() -> None:
    read: list[int] = []

    def long_ones() -> Iterator[tuple[int, Utterance]]:
        for number in range(5):
            read.append(number)
            yield number, utterance(WINDOW_S * SAMPLE_RATE)

    assert next(answers_to(Lengths(), long_ones()))[0] == 0
    assert read == [0, 1]


def test_what_comes_next_is_read_while_the_classifier_is_busy() -> None:
    may_answer = threading.Event()

    class Waiting(Lengths):
        def classify(self, utterances: Sequence[Utterance]) -> Sequence[Answer]:
            assert may_answer.wait(20.0), "nobody read on"
            return super().classify(utterances)

    def reader() -> Iterator[tuple[int, Utterance]]:
        for number in range(WINDOW + 1):
            if number == WINDOW:
                may_answer.set()
            yield number, utterance(10)

    assert len(list(answers_to(Waiting(), reader()))) == WINDOW + 1


def test_the_model_is_loaded_when_there_is_something_to_classify() -> None:
    classifier = Lengths()
    assert list(answers_to(classifier, iter([]))) == []
    assert classifier.loads == 0
    list(answers_to(classifier, [("", utterance(10))]))
    assert classifier.loads == 1


def test_one_that_is_not_classified_ends_it_and_what_waits_is_left_alone() -> None:
    class Failing(Lengths):
        def classify(self, utterances: Sequence[Utterance]) -> Sequence[Answer]:
            super().classify(utterances)
            return [Unanswered("no worker")] * len(utterances)

    classifier = Failing()
    told = answers_to(classifier, enumerate(utterance(10) for _ in range(10 * WINDOW)))
    with pytest.raises(ClassificationError, match="no worker"):
        next(told)
    assert len(classifier.asked) <= 2 * BATCHES


def test_who_stops_listening_waits_for_one_batch_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, may_answer = threading.Event(), threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            may_answer.set()  # what has not begun is given up by now, where it is at all
            super().shutdown(wait=wait)

    class Slow(Lengths):
        def classify(self, utterances: Sequence[Utterance]) -> Sequence[Answer]:
            if len(self.asked) == BATCHES:  # the first of the second window
                busy.set()
                may_answer.wait(20.0)
            return super().classify(utterances)

    monkeypatch.setattr(answering, "ThreadPoolExecutor", Pool)
    classifier = Slow()
    told = answers_to(classifier, enumerate(utterance(10) for _ in range(2 * WINDOW)))
    next(told)
    assert busy.wait(20.0)
    del told
    assert len(classifier.asked) == BATCHES + 1


def test_files_are_heard_on_all_cores_unless_somebody_says_how_many() -> None:
    cores = len(os.sched_getaffinity(0))
    assert on_all_cores(load()).config.classifier == Wav2Vec2Options(threads=cores)
    for threads in (1, 3):
        loaded = load(overrides=(f"classifier.threads={threads}",))
        assert on_all_cores(loaded) == loaded


def test_a_folder_is_told_as_its_files_are_one_by_one(ser_agent: Command) -> None:
    clips = sorted((Path(__file__).resolve().parents[1] / "data").glob("*.opus"))[:2]
    together = ser_agent("classify", "--jsonl", *clips, *clips, *clips, *clips).records
    alone = [record for clip in clips for record in ser_agent("classify", "--jsonl", clip).records]
    assert together == 4 * alone
