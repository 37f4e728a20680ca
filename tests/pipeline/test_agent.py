"""The whole pipeline with fakes at its ports: order, conservation, faults, and the end."""

from __future__ import annotations

import math
import queue
import signal
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rig import PAUSE, SPEECH, Rig, speech

from ser_agent.agent import Outcome
from ser_agent.errors import ClassificationError, SerAgentError, SinkError, SourceError, SourceLost
from ser_agent.messages import AgentInfo, AnyMessage, Availability, EmotionEvent, MicrophoneState, SpeechState
from ser_agent.pipeline.stage import Occurrence, Signalled
from ser_agent.ports import NON_SPEECH
from ser_agent.testing import FakeClassifier, RecordingSink, ScriptedSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ser_agent.audio import AudioFrame, Utterance
    from ser_agent.ports import Answer, EmotionClassifier, ModelInfo


def kinds(messages: Sequence[AnyMessage]) -> list[str]:
    """The messages as words, in order."""
    words = []
    for message in messages:
        match message:
            case Availability(online=online):
                words.append("online" if online else "offline")
            case MicrophoneState(connected=connected, lost=lost):
                words.append("heard" if connected else "lost" if lost else "deaf")
            case SpeechState(speaking=speaking):
                words.append("speech" if speaking else "hush")
            case EmotionEvent(emotion=emotion):
                words.append(emotion)
            case AgentInfo():
                words.append("info")
    return words


def test_a_finite_source_gives_one_event_for_each_utterance_and_ends() -> None:
    rig = Rig(ScriptedSource(speech(PAUSE, SPEECH, PAUSE, SPEECH, PAUSE)))
    agent = rig.agent()
    assert agent.run() is Outcome.ENDED
    told = kinds(rig.record.messages)
    assert told[:3] == ["info", "online", "heard"]
    assert sorted(told[3:]) == sorted(["speech", "hush", "happy", "speech", "hush", "happy", "deaf"])
    assert rig.record.calls == ["open", "flush", "close"]
    assert (agent.books.begun, agent.books.published, agent.books.open) == (2, 2, 0)


def test_an_event_tells_what_was_heard() -> None:
    rig = Rig(ScriptedSource(speech(PAUSE, SPEECH, PAUSE)))
    rig.agent().run()
    (event,) = rig.record.events
    assert event.agent == "attic"
    assert event.source == "scripted"
    assert event.model == "fake@1"
    assert event.emotion == "happy"
    assert [(score.label, score.score) for score in event.emotions] == [("happy", 0.7), ("neutral", 0.2)]
    assert event.end_reason == "silence"
    assert event.offset_s == pytest.approx(1.0 - 0.32, abs=0.04)
    assert event.duration_s == pytest.approx(1.0 + 0.32 + 0.22, abs=0.07)
    assert event.level_dbfs == pytest.approx(-15, abs=2)


def test_under_the_threshold_the_emotion_is_uncertain_and_the_scores_still_tell() -> None:
    rig = Rig(ScriptedSource(speech(SPEECH, PAUSE)), min_confidence=0.71)
    rig.agent().run()
    (event,) = rig.record.events
    assert event.emotion == "uncertain"
    assert event.confidence == 0.7
    assert event.emotions[0].label == "happy"


class Demanding(FakeClassifier):
    """A model with a threshold of its own: 0.71, just above its confidence."""

    def load(self) -> ModelInfo:
        return replace(super().load(), uncertain_below=0.71)


@pytest.mark.parametrize(
    ("classifier", "configured", "emotion"),
    [
        (Demanding(), None, "uncertain"),
        (Demanding(), 0.7, "happy"),
        (Demanding(), 0.0, "happy"),
        (FakeClassifier(), None, "happy"),
        (FakeClassifier(lambda _: {"happy": 0.39, "sad": 0.31, "calm": 0.3}), None, "uncertain"),
    ],
)
def test_the_threshold_is_the_configured_one_else_the_models_own_else_0_4(
    classifier: EmotionClassifier, configured: float | None, emotion: str
) -> None:
    rig = Rig(classifier=classifier, min_confidence=configured)
    rig.agent().run()
    assert [event.emotion for event in rig.record.events] == [emotion]


def test_an_utterance_in_progress_is_finished_when_told_to_stop() -> None:
    occurrences: queue.SimpleQueue[Occurrence] = queue.SimpleQueue()
    source = ScriptedSource(
        speech(PAUSE, SPEECH), live=True, when_dry=lambda: occurrences.put(Signalled(signal.SIGTERM))
    )
    rig = Rig(source, occurrences=occurrences)
    agent = rig.agent()
    assert agent.run() is Outcome.STOPPED
    (event,) = rig.record.events
    assert event.end_reason == "end_of_stream"
    assert agent.books.open == 0


def test_a_lost_source_is_opened_again_and_nothing_spans_the_loss() -> None:
    script: list[AudioFrame | Exception] = [
        *speech(PAUSE, SPEECH),
        SourceLost("unplugged"),
        *speech(SPEECH, PAUSE),
    ]
    source = ScriptedSource(script)
    rig = Rig(source)
    agent = rig.agent()
    agent.run()
    assert source.opened == 2
    assert [event.end_reason for event in rig.record.events] == ["source_lost", "silence"]
    told = [word for word in kinds(rig.record.messages) if word in {"heard", "lost", "deaf", "online"}]
    assert told == ["online", "heard", "lost", "heard", "deaf"]
    assert agent.books.open == 0


def test_a_source_that_cannot_be_opened_at_first_ends_the_agent_with_its_error() -> None:
    rig = Rig(ScriptedSource([], open_faults=[SourceError("no such device")]))
    with pytest.raises(SourceError, match="no such device"):
        rig.agent().run()
    assert rig.record.calls == ["open", "flush", "close"]


@pytest.mark.parametrize("failure", [ClassificationError("no"), ValueError("bug")])
def test_what_cannot_be_classified_is_counted_and_the_rest_goes_on(failure: Exception) -> None:
    def answer(utterance: Utterance) -> Mapping[str, float]:
        if utterance.start_s < 1:
            raise failure
        return {"sad": 1.0}

    rig = Rig(ScriptedSource(speech(SPEECH, PAUSE, SPEECH, PAUSE)), FakeClassifier(answer))
    agent = rig.agent()
    agent.run()
    books = agent.books
    assert books.begun == 2
    assert books.published + sum(books.failed.values()) == 2
    assert books.failed["classifier"] >= 1


@pytest.mark.parametrize("answer", [{"sad": math.nan, "happy": 0.5}, {"sad": 0.9, "happy": 0.9}, {}])
def test_an_answer_that_is_no_distribution_is_a_failure_not_an_event(answer: Mapping[str, float]) -> None:
    rig = Rig(ScriptedSource(speech(SPEECH, PAUSE)), FakeClassifier(lambda _: answer))
    agent = rig.agent()
    agent.run()
    assert agent.books.failed == {"invalid": 1}
    assert rig.record.events == []


class BrokenSink(RecordingSink):
    def publish(self, message: AnyMessage) -> None:
        if isinstance(message, EmotionEvent):
            raise SinkError("disk full")
        raise RuntimeError("a bug in the sink")


def test_one_sink_that_fails_does_not_hold_the_others() -> None:
    good = RecordingSink()
    rig = Rig(ScriptedSource(speech(SPEECH, PAUSE, SPEECH)), sinks={"bad": BrokenSink(), "record": good})
    agent = rig.agent()
    agent.run()
    assert len(good.events) == 2
    assert agent.stats().lost_by_sink == {"bad": len(good.messages), "record": 0}


def test_a_live_source_never_waits_for_a_slow_classifier_and_every_utterance_is_accounted_for() -> None:
    gate = threading.Event()

    def slow(_: Utterance) -> Mapping[str, float]:
        gate.wait(30)
        return {"happy": 1.0}

    stretches = [SPEECH, PAUSE] * 12
    rig = Rig(ScriptedSource(speech(*stretches), live=True), FakeClassifier(slow))
    agent = rig.agent()
    original = rig.source.close

    def close() -> None:
        original()
        gate.set()

    rig.source.close = close  # type: ignore[method-assign]
    agent.run()
    books = agent.books
    assert books.begun == 12
    assert books.dropped["overload"] >= 4
    assert books.published + books.dropped["overload"] == 12


def test_a_rejected_reload_leaves_the_agent_running() -> None:
    asked: list[Outcome] = []

    def refuse(wanted: Outcome) -> str:
        asked.append(wanted)
        rig.occurrences.put(Signalled(signal.SIGTERM))
        return "the new configuration is wrong"

    rig = Rig(ScriptedSource(speech(PAUSE), live=True, when_dry=lambda: None), objection=refuse)
    rig.occurrences.put(Signalled(signal.SIGHUP))
    assert rig.agent().run() is Outcome.STOPPED
    assert asked == [Outcome.RELOAD]


def test_an_accepted_reload_stops_the_agent_to_be_started_anew() -> None:
    rig = Rig(ScriptedSource(speech(PAUSE), live=True, when_dry=lambda: None))
    rig.occurrences.put(Signalled(signal.SIGHUP))
    assert rig.agent().run() is Outcome.RELOAD


def test_a_bug_in_a_stage_ends_the_agent_with_the_code_for_bugs() -> None:
    rig = Rig(ScriptedSource([*speech(SPEECH), ZeroDivisionError("oops")]))
    with pytest.raises(SerAgentError, match="stage listen died: ZeroDivisionError: oops") as caught:
        rig.agent().run()
    assert caught.value.exit_code == 70


def test_sinks_may_have_the_names_of_stages() -> None:
    sinks = {name: RecordingSink() for name in ("classify", "listen")}
    agent = Rig(sinks=sinks).agent()
    assert agent.run() is Outcome.ENDED
    assert [len(sink.events) for sink in sinks.values()] == [1, 1]
    assert agent.stats().lost_by_sink == {"classify": 0, "listen": 0}


def test_what_turns_out_too_short_to_be_an_utterance_is_dropped_and_counted() -> None:
    rig = Rig(ScriptedSource(speech(PAUSE, SPEECH[:3200], PAUSE, SPEECH, PAUSE)))
    agent = rig.agent()
    agent.run()
    assert (agent.books.begun, agent.books.published, agent.books.dropped) == (2, 1, {"too_short": 1})


def test_where_nobody_spoke_there_is_no_event_and_the_books_and_the_stats_say_why() -> None:
    def answer(utterance: Utterance) -> Answer:
        return NON_SPEECH if utterance.start_s < 1 else {"sad": 1.0}

    rig = Rig(ScriptedSource(speech(SPEECH, PAUSE, SPEECH, PAUSE)), FakeClassifier(answer))
    agent = rig.agent()
    agent.run()
    assert [event.emotion for event in rig.record.events] == ["sad"]
    assert (agent.books.begun, agent.books.published, agent.books.failed) == (2, 1, {})
    assert agent.books.dropped == agent.stats().dropped == {"non_speech": 1}


FATES: dict[str, Answer] = {"published": {"sad": 1.0}, "invalid": {"sad": 2.0}, "non_speech": NON_SPEECH}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from([*FATES, "too_short"]), max_size=8))
def test_every_utterance_is_published_failed_or_dropped_as_what_it_was(fates: list[str]) -> None:
    answers = iter([FATES[fate] for fate in fates if fate in FATES])
    stretches = [sound for fate in fates for sound in (SPEECH if fate in FATES else SPEECH[:3200], PAUSE)]
    rig = Rig(ScriptedSource(speech(PAUSE, *stretches)), FakeClassifier(lambda _: next(answers)))
    agent = rig.agent()
    agent.run()
    books = agent.books
    assert (books.begun, books.open) == (len(fates), 0)
    told = {"published": books.published, **books.failed, **books.dropped}
    assert {fate: count for fate, count in told.items() if count} == dict(Counter(fates))
