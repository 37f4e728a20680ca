"""What parts may do wrong, and races between the agent's threads: neither loses an utterance nor the agent."""

from __future__ import annotations

import logging
import queue
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from support.mqtt import wait_until
from support.rig import PAUSE, SPEECH, Rig, speech

from ser_agent.agent import Outcome
from ser_agent.errors import EX_SOFTWARE, SerAgentError, SourceError, SourceLost
from ser_agent.pipeline.stage import Occurrence, Signalled, StageEnded
from ser_agent.pipeline.waiting import MOST_OF_A_SITE
from ser_agent.testing import FakeClassifier, RecordingSink, ScriptedSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ser_agent.agent import Agent
    from ser_agent.audio import AudioFrame, Utterance
    from ser_agent.ports import Distribution

PATIENCE_S = 20.0


class Answering(FakeClassifier):
    """A classifier whose whole answer is what a function makes of the utterances."""

    def __init__(self, answers: Callable[[Sequence[Utterance]], Sequence[Distribution]]) -> None:
        super().__init__()
        self._answers = answers

    def classify(self, utterances: Sequence[Utterance]) -> Sequence[Distribution]:
        return self._answers(utterances)


def each(answer: object) -> Answering:
    """A classifier that gives each utterance this answer, of whatever kind."""
    return Answering(lambda utterances: [answer] * len(utterances))  # type: ignore[list-item]


def threads_of(agent: Agent) -> list[str]:
    """The stages that still run."""
    return [stage.name for stage in agent._stages if stage.alive]


class LingeringThreads(queue.SimpleQueue[Occurrence]):
    """Occurrences whose teller is still alive when the main thread hears of its end, as on a busy machine."""

    def __init__(self) -> None:
        super().__init__()
        self._heard = threading.Semaphore(0)

    def put(self, item: Occurrence, block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002
        super().put(item)
        if isinstance(item, StageEnded):
            self._heard.acquire(timeout=1.0)

    def get(self, block: bool = True, timeout: float | None = None) -> Occurrence:  # noqa: FBT001, FBT002
        if self.empty():
            self._heard.release()
        return super().get(block, timeout)


def test_the_end_is_noticed_also_where_the_last_thread_is_still_alive_as_it_tells_its_end() -> None:
    agent = Rig(occurrences=LingeringThreads()).agent()
    assert agent.run() is Outcome.ENDED
    assert agent.books.published == 1


class SlowlyOpening(ScriptedSource):
    """A source whose ``open`` returns only after somebody has closed it, as while an audio server is busy."""

    def __init__(self, script: Sequence[AudioFrame | Exception], *, slow_at: int) -> None:
        super().__init__(script, live=True, when_dry=lambda: None)
        self.opening = threading.Event()
        self._slow_at = slow_at
        self._closed_meanwhile = threading.Event()

    def open(self) -> None:
        if self.opened + 1 == self._slow_at:
            self._closed_meanwhile.clear()
            self.opening.set()
            self._closed_meanwhile.wait(PATIENCE_S)
        super().open()

    def close(self) -> None:
        super().close()
        self._closed_meanwhile.set()


@pytest.mark.parametrize(
    ("script", "slow_at"),
    [
        pytest.param(speech(SPEECH, PAUSE), 1, id="for the first time"),
        pytest.param([*speech(SPEECH, PAUSE), SourceLost("unplugged"), *speech(SPEECH)], 2, id="again"),
    ],
)
def test_told_to_stop_while_the_source_is_being_opened_it_does_not_begin_to_listen(
    script: list[AudioFrame | Exception], slow_at: int
) -> None:
    source = SlowlyOpening(script, slow_at=slow_at)
    rig = Rig(source)
    agent = rig.agent()

    def stop() -> None:
        source.opening.wait(PATIENCE_S)
        rig.occurrences.put(Signalled(signal.SIGTERM))

    threading.Thread(target=stop, daemon=True).start()
    assert agent.run() is Outcome.STOPPED
    assert threads_of(agent) == []
    assert len(rig.record.events) == slow_at - 1
    assert agent.books.open == 0


def test_told_to_stop_while_it_waits_to_open_a_lost_source_it_stops(caplog: pytest.LogCaptureFixture) -> None:
    occurrences: queue.SimpleQueue[Occurrence] = queue.SimpleQueue()

    class NeverBack(ScriptedSource):
        def open(self) -> None:
            super().open()
            if self.opened == 3:
                occurrences.put(Signalled(signal.SIGTERM))
            if self.opened > 1:
                raise SourceError("still unplugged")

    source = NeverBack([*speech(SPEECH), SourceLost("unplugged")], live=True)
    rig = Rig(source, occurrences=occurrences)
    agent = rig.agent()
    with caplog.at_level(logging.INFO):
        assert agent.run() is Outcome.STOPPED
    assert threads_of(agent) == []
    assert [event.end_reason for event in rig.record.events] == ["source_lost"]
    assert "source still away: still unplugged" in caplog.text


def test_a_source_lost_before_it_gave_anything_ends_the_agent() -> None:
    with pytest.raises(SourceLost, match="never plugged in"):
        Rig(ScriptedSource([SourceLost("never plugged in")], live=True)).agent().run()


def test_what_rounding_does_to_an_answer_s_ends_is_undone() -> None:
    rig = Rig(classifier=each({"happy": 1.0007, "sad": -0.0004}))
    agent = rig.agent()
    agent.run()
    (event,) = rig.record.events
    assert [(score.label, score.score) for score in event.emotions] == [("happy", 1.0), ("sad", 0.0)]
    assert agent.books.published == 1


@pytest.mark.parametrize(
    "answer",
    [None, "happy", {"happy": "very"}, {"happy": None}, {"happy": 1.2, "sad": -0.2}, {"happy": float("inf")}],
    ids=repr,
)
def test_an_answer_of_whatever_kind_that_is_no_distribution_is_a_failure(answer: object) -> None:
    rig = Rig(classifier=each(answer))
    agent = rig.agent()
    assert agent.run() is Outcome.ENDED
    assert agent.books.failed == {"invalid": 1}
    assert rig.record.events == []


@pytest.mark.parametrize("count", [0, 2, 5])
def test_where_there_is_not_one_answer_for_each_utterance_none_is_used_and_work_goes_on(count: int) -> None:
    classifier = Answering(lambda _: [{"happy": 1.0}] * count)
    rig = Rig(ScriptedSource(speech(SPEECH, PAUSE)), classifier)
    agent = rig.agent()
    assert agent.run() is Outcome.ENDED
    assert agent.books.failed == {"invalid": 1}
    assert rig.record.events == []


def test_a_classifier_that_answers_nothing_at_all_is_a_failure_too() -> None:
    rig = Rig(classifier=Answering(lambda _: None))  # type: ignore[arg-type, return-value]
    agent = rig.agent()
    agent.run()
    assert agent.books.failed == {"classifier": 1}


@pytest.mark.parametrize("live", [True, False])
def test_a_part_that_calls_exit_in_its_thread_ends_the_agent_and_all_its_threads(*, live: bool) -> None:
    def leave(_: Utterance) -> Mapping[str, float]:
        # More have begun than may wait: a source that can wait does so when the classifier goes.
        wait_until(lambda: agent.books.begun > MOST_OF_A_SITE + 1, "the queue is full")
        sys.exit(3)

    rig = Rig(ScriptedSource(speech(*[SPEECH, PAUSE] * 12), live=live), FakeClassifier(leave))
    agent = rig.agent()
    with pytest.raises(SerAgentError, match="stage classify died: SystemExit: 3") as caught:
        agent.run()
    assert caught.value.exit_code == EX_SOFTWARE
    assert threads_of(agent) == []
    assert agent.books.open == 0


def test_a_source_that_can_wait_does_so_with_signs_of_life_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ser_agent.pipeline.listen.POLL_S", 0.001)
    signs = threading.Semaphore(0)

    def slow(utterance: Utterance) -> Mapping[str, float]:
        if utterance.offset == 0:
            wait_until(lambda: agent.books.begun > MOST_OF_A_SITE + 1, "the queue is full")
            monkeypatch.setattr(agent._listen, "beat", signs.release)
            assert all(signs.acquire(timeout=PATIENCE_S) for _ in range(100))
        return {"happy": 1.0}

    agent = Rig(ScriptedSource(speech(*[SPEECH, PAUSE] * 12)), FakeClassifier(slow)).agent()
    assert agent.run() is Outcome.ENDED
    assert (agent.books.begun, agent.books.published) == (12, 12)


class ClumsySink(RecordingSink):
    def flush(self, timeout_s: float) -> None:
        super().flush(timeout_s)
        raise ValueError("clumsy flush")

    def close(self) -> None:
        super().close()
        raise OSError("clumsy close")


def test_a_sink_that_fails_at_the_end_does_not_keep_the_others_from_theirs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clumsy, good = ClumsySink(), RecordingSink()
    agent = Rig(sinks={"clumsy": clumsy, "record": good}).agent()
    assert agent.run() is Outcome.ENDED
    assert clumsy.calls == good.calls == ["open", "flush", "close"]
    assert len(good.events) == 1
    assert "sink clumsy did not end well" in caplog.text
    assert "clumsy flush" in caplog.text
    assert "clumsy close" in caplog.text


def test_a_sink_that_cannot_be_opened_ends_the_agent_and_those_before_it_are_closed() -> None:
    class Shut(RecordingSink):
        def open(self) -> None:
            raise SourceError("no such folder")

    first = RecordingSink()
    agent = Rig(sinks={"first": first, "second": Shut()}).agent()
    with pytest.raises(SourceError, match="no such folder"):
        agent.run()
    assert first.calls == ["open", "flush", "close"]
    assert threads_of(agent) == []


def test_a_gap_in_the_offsets_is_counted_in_frames_and_no_utterance_spans_it() -> None:
    first, second = speech(PAUSE, SPEECH), speech(SPEECH, PAUSE)
    behind = first[-1].offset + 10 * 512

    def moved() -> Iterator[AudioFrame]:
        for frame in second:
            yield type(frame)(frame.samples, frame.offset + behind, frame.captured_at)

    rig = Rig(ScriptedSource([*first, *moved()]))
    agent = rig.agent()
    agent.run()
    assert [event.end_reason for event in rig.record.events] == ["source_lost", "silence"]
    assert agent.stats().frames_dropped == 10


def test_a_stage_that_hangs_does_not_keep_the_agent_and_what_it_holds_is_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ser_agent.agent.STOP_S", 0.2)
    monkeypatch.setattr("ser_agent.agent.FLUSH_S", 0.1)
    gate = threading.Event()
    occurrences: queue.SimpleQueue[Occurrence] = queue.SimpleQueue()

    def hang(_: Utterance) -> Mapping[str, float]:
        wait_until(lambda: "listen" not in threads_of(agent), "all was said")
        occurrences.put(Signalled(signal.SIGTERM))
        gate.wait(PATIENCE_S)
        return {"happy": 1.0}

    rig = Rig(ScriptedSource(speech(*[SPEECH, PAUSE] * 3)), FakeClassifier(hang), occurrences=occurrences)
    agent = rig.agent()
    assert agent.run() is Outcome.STOPPED
    assert "stage classify did not stop in time" in caplog.text
    assert agent.books.dropped == {"shutdown": 3}
    assert agent.books.open == 0
    assert rig.record.calls == ["open", "flush", "close"]
    gate.set()
    wait_until(lambda: threads_of(agent) == [], "the threads end once they can")
