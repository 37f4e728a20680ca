"""Answers that are there before the utterance ends, and those to an utterance that goes on."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from support.rig import PAUSE, SPEECH, Rig

from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE, AudioFrame, Draft
from ser_agent.buffer import Closed
from ser_agent.errors import ClassificationError
from ser_agent.messages import PartialEmotion
from ser_agent.pipeline.waiting import UtteranceQueue
from ser_agent.segmenter import Drafting
from ser_agent.testing import FakeClassifier, utterance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ser_agent.audio import Samples, Sound, Utterance

PAUSE_FOR_DRAFT = PAUSE[: 13 * HOP_SAMPLES]
"""Shorter than the hangover, yet long enough for an early draft."""
REST = PAUSE[13 * HOP_SAMPLES :]


@dataclass
class PatientSource:
    """A live source that waits between its stretches of sound until something has happened."""

    stretches: list[tuple[Samples, Callable[[], object]]]
    live: bool = True
    in_real_time: bool = False
    closed: threading.Event = field(default_factory=threading.Event)

    def open(self) -> None:
        """Begin."""

    def frames(self) -> Iterator[Sound]:
        """Yield each stretch, and wait."""
        offset = 0
        for samples, wait in self.stretches:
            yield AudioFrame(samples, offset, 100.0 + offset / SAMPLE_RATE)
            offset += len(samples)
            wait()

    def close(self) -> None:
        """Be closed."""
        self.closed.set()


@dataclass
class Counting:
    """A classifier's answers, and how many have been asked for."""

    fails_first: bool = False
    asked: list[int] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, heard: Utterance) -> Mapping[str, float]:
        with self.changed:
            self.asked.append(len(heard.samples))
            self.changed.notify_all()
            if self.fails_first and len(self.asked) == 1:
                raise ClassificationError("not now")
        return {"happy": 0.9, "sad": 0.1}

    def wait_for(self, count: int) -> Callable[[], bool]:
        def wait() -> bool:
            with self.changed:
                return self.changed.wait_for(lambda: len(self.asked) >= count, 20)

        return wait


def nothing() -> None:
    """Wait for nothing."""


def test_an_utterance_that_was_heard_in_its_pause_is_not_classified_again() -> None:
    answers = Counting()
    source = PatientSource([(SPEECH, nothing), (PAUSE_FOR_DRAFT, answers.wait_for(1)), (REST, nothing)])
    rig = Rig(source, FakeClassifier(answers), drafting=Drafting(early=True))
    agent = rig.agent()
    agent.run()
    [event] = rig.record.events
    assert answers.asked == [round(event.duration_s * SAMPLE_RATE)]
    assert (event.emotion, event.end_reason) == ("happy", "silence")
    assert (agent.books.begun, agent.books.published) == (1, 1)


def test_where_somebody_speaks_on_the_early_answer_is_not_used() -> None:
    answers = Counting()
    source = PatientSource(
        [(SPEECH, nothing), (PAUSE_FOR_DRAFT, answers.wait_for(1)), (SPEECH, nothing), (PAUSE, nothing)]
    )
    rig = Rig(source, FakeClassifier(answers), drafting=Drafting(early=True))
    agent = rig.agent()
    agent.run()
    [event] = rig.record.events
    assert answers.asked[0] < round(event.duration_s * SAMPLE_RATE) == answers.asked[-1]
    assert (agent.books.begun, agent.books.published) == (1, 1)


def test_a_failure_in_the_pause_is_in_no_books_and_is_made_good_at_the_end() -> None:
    answers = Counting(fails_first=True)
    source = PatientSource([(SPEECH, nothing), (PAUSE_FOR_DRAFT, answers.wait_for(1)), (REST, nothing)])
    rig = Rig(source, FakeClassifier(answers), drafting=Drafting(early=True))
    agent = rig.agent()
    agent.run()
    assert len(answers.asked) == 2
    assert (agent.books.published, agent.books.failed) == (1, {})


def test_what_goes_on_is_told_of_besides_and_its_event_says_where_it_began() -> None:
    answers = Counting()
    source = PatientSource([(SPEECH, answers.wait_for(1)), (SPEECH, answers.wait_for(2)), (PAUSE, nothing)])
    rig = Rig(source, FakeClassifier(answers), drafting=Drafting(partial_every_s=0.7))
    agent = rig.agent()
    agent.run()
    partials = [message for message in rig.record.messages if isinstance(message, PartialEmotion)]
    [event] = rig.record.events
    assert [partial.emotion for partial in partials] == ["happy", "happy"]
    assert {partial.offset_s for partial in partials} == {event.offset_s}
    assert partials[0].duration_s < partials[1].duration_s < event.duration_s
    assert (agent.books.begun, agent.books.published) == (1, 1)


def test_a_source_that_waits_and_yet_plays_in_real_time_is_heard_early() -> None:
    answers = Counting()
    source = PatientSource(
        [(SPEECH, nothing), (PAUSE_FOR_DRAFT, answers.wait_for(1)), (REST, nothing)], live=False, in_real_time=True
    )
    rig = Rig(source, FakeClassifier(answers), drafting=Drafting(early=True))
    rig.agent().run()
    assert len(answers.asked) == len(rig.record.events) == 1


def test_a_source_that_waits_is_heard_once_for_each_utterance() -> None:
    answers = Counting()
    source = PatientSource([(SPEECH, nothing), (PAUSE_FOR_DRAFT, nothing), (REST, nothing)], live=False)
    rig = Rig(source, FakeClassifier(answers), drafting=Drafting(early=True, partial_every_s=0.5))
    rig.agent().run()
    assert len(answers.asked) == len(rig.record.events) == 1


def test_drafts_wait_behind_utterances_and_go_when_theirs_comes() -> None:
    queue = UtteranceQueue()
    one, other = (replace(utterance(1.0), site=site) for site in ("one", "other"))
    queue.offer(Draft(one, "partial"))
    newer = Draft(replace(one, offset=5), "early")
    queue.offer(newer)
    queue.offer(Draft(other, "early"))
    assert queue.take(8, 0) == []
    queue.put(other)
    assert queue.take_draft() is None
    assert queue.take(8, 0) == [other]
    assert queue.take_draft() is newer
    assert queue.take_draft() is None
    queue.close()
    queue.offer(newer)
    with pytest.raises(Closed):
        queue.take(8, 0)
    assert queue.take_draft() is None
