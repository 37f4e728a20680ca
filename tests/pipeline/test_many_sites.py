"""One source that hears many sites: what is told of each, and that none suffers from the others."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.life import Life
from support.mqtt import wait_until
from support.rig import PAUSE, SPEECH, Rig, speech

from ser_agent.audio import HOP_SAMPLES, AudioFrame, Lull, Sound
from ser_agent.commands import SetListening
from ser_agent.errors import SourceLost
from ser_agent.messages import (
    AnyMessage,
    Availability,
    EmotionEvent,
    MicrophoneState,
    SiteForgotten,
    SpeechState,
)
from ser_agent.testing import FakeClassifier, ScriptedSource, frames_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pytest

    from ser_agent.audio import Utterance

WORDS = speech(SPEECH, PAUSE)


class Switchboard(ScriptedSource):
    """A source that plays frames and lulls of several sites."""

    def __init__(self, script: Sequence[Sound | Exception], *, live: bool = False, waits: bool = False) -> None:
        super().__init__([], live=live)
        self.is_silent = False
        self._sounds = list(script)
        self._waits = waits

    def frames(self) -> Iterator[Sound]:  # type: ignore[override]
        while self._sounds and not self._closed.is_set():
            sound = self._sounds.pop(0)
            if isinstance(sound, Exception):
                raise sound
            yield sound
        self.is_silent = True  # all of it has been taken by who listens
        while self._waits and not self._closed.wait(0.05):
            yield Lull("waiting")


def at(site: str, frames: Sequence[AudioFrame] = WORDS, session: str | None = None) -> list[AudioFrame]:
    return [replace(frame, site=site, session=session) for frame in frames]


def in_turns(*sounds: Sequence[Sound]) -> list[Sound]:
    longest = max(map(len, sounds))
    return [queue[n] for n in range(longest) for queue in sounds if n < len(queue)]


def told(messages: Sequence[AnyMessage], site: str | None) -> list[str]:
    """What is told of a site's presence, in order."""
    words = []
    for message in messages:
        match message:
            case Availability(online=online) if message.site == site:
                words.append("online" if online else "offline")
            case MicrophoneState(connected=connected) if message.site == site:
                words.append("heard" if connected else "deaf")
            case SpeechState(speaking=speaking) if message.site == site:
                words.append("speech" if speaking else "hush")
            case SiteForgotten() if message.site == site:
                words.append("forgotten")
    return words


def run(*script: Sound | Exception) -> Rig:
    rig = Rig(Switchboard(script))
    rig.agent().run()
    return rig


def test_each_site_s_speech_gives_its_own_events_however_they_are_mixed() -> None:
    rig = run(*in_turns(at("a"), at("b"), at("c", speech(PAUSE, SPEECH, PAUSE, SPEECH, PAUSE))))
    assert Counter(event.agent for event in rig.record.events) == {"a": 1, "b": 1, "c": 2}
    alone = Rig(ScriptedSource(WORDS))
    alone.agent().run()
    (expected,) = alone.record.events
    for event in rig.record.events[:2]:
        assert (event.offset_s, event.duration_s) == (expected.offset_s, expected.duration_s)


def test_presence_is_told_of_each_site_and_of_all() -> None:
    rig = run(*in_turns(at("a"), at("b", speech(SPEECH, SPEECH, PAUSE))))
    for site in ("a", "b"):
        assert told(rig.record.messages, site) == ["online", "heard", "speech", "hush", "deaf"]
    assert told(rig.record.messages, None) == ["online", "heard", "speech", "hush", "deaf"]


def test_a_site_that_falls_silent_ends_its_utterance_and_the_others_go_on() -> None:
    rig = run(
        *in_turns(at("a", WORDS[:25]), at("b", WORDS[:25])),
        Lull("silent", "a"),
        *at("b", WORDS[25:]),
        Lull("away", "a"),
        Lull("forgotten", "a"),
    )
    assert {event.agent: event.end_reason for event in rig.record.events} == {"a": "source_lost", "b": "silence"}
    assert told(rig.record.messages, "a") == ["online", "heard", "speech", "hush", "deaf", "offline", "forgotten"]
    assert told(rig.record.messages, None).count("deaf") == 1


def test_lulls_of_sites_that_nobody_knows_are_nothing() -> None:
    rig = run(Lull("silent", "x"), Lull("away", "x"), Lull("forgotten", "x"), *at("a"))
    assert told(rig.record.messages, "x") == []
    assert len(rig.record.events) == 1


def test_a_source_that_waits_is_up_and_gives_signs_of_life() -> None:
    rig = Rig(Switchboard([], live=True, waits=True))
    with Life(rig) as life:
        life.wait_for(Availability(online=True))
        assert life.agent.health()["healthy"]
        assert not life.agent.health()["hearing"]


def test_the_session_is_the_one_that_was_open_while_somebody_spoke() -> None:
    first, second = at("a", WORDS[:20], "one"), at("a", WORDS[20:], None)
    later = [replace(f, offset=f.offset + 10**6) for f in at("a", WORDS)]
    rig = run(*first, *second, *in_turns(at("b"), later))
    sessions = [(event.agent, event.session_id) for event in rig.record.events]
    assert sorted(sessions, key=str) == [("a", "one"), ("a", None), ("b", None)]


def test_when_the_source_is_lost_every_site_is() -> None:
    rig = run(*in_turns(at("a", WORDS[:25]), at("b", WORDS[:25])), SourceLost("gone"), *at("a"))
    assert sorted((event.agent, event.end_reason) for event in rig.record.events) == [
        ("a", "silence"),
        ("a", "source_lost"),
        ("b", "source_lost"),
    ]
    assert told(rig.record.messages, "a").count("online") == 1
    assert told(rig.record.messages, "b")[-1] == "deaf"


def test_a_mute_drops_what_is_being_said_anywhere() -> None:
    source = Switchboard(in_turns(at("a", WORDS[:25]), at("b", WORDS[:25])), live=True, waits=True)
    rig = Rig(source)
    with Life(rig) as life:
        wait_until(lambda: source.is_silent, "both speak")
        assert life.agent.books.begun == 2
        assert life.ask(SetListening(on=False)).error is None
        wait_until(lambda: life.agent.books.dropped == {"muted": 2}, "both are dropped")
    assert rig.record.events == []


def test_of_more_sites_than_can_be_the_first_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser_agent.pipeline.lanes.MOST_LANES", 2)
    rig = run(*at("a", WORDS[:25]), *at("b", WORDS[:25]), *at("c", WORDS[:25]))
    assert told(rig.record.messages, "a")[-2:] == ["offline", "forgotten"]
    assert Counter(event.agent for event in rig.record.events) == {"a": 1, "b": 1, "c": 1}


def test_when_the_classifier_cannot_keep_up_the_newest_speech_of_every_site_wins() -> None:
    go = threading.Event()
    first = threading.Event()

    def slow(_: Utterance) -> Mapping[str, float]:
        first.set()
        assert go.wait(60)
        return {"happy": 1.0}

    sites = [f"site-{number}" for number in range(16)]
    rounds = [in_turns(*(at(site, _later(n)) for site in sites)) for n in range(10)]
    source = Switchboard([one for each in rounds for one in each], live=True, waits=True)
    rig = Rig(source, FakeClassifier(slow))
    with Life(rig) as life:
        wait_until(lambda: source.is_silent, "all of it was said", 60)
        wait_until(first.is_set, "the classifier hears something")
        assert life.agent.books.begun == 160
        go.set()
        wait_until(lambda: life.agent.books.open == 0, "all of it is settled", 60)
        books = life.agent.books
        stats = life.agent.stats()
    assert books.begun == books.published + books.dropped["overload"]
    assert stats.dropped == books.dropped
    latest = {site: max(event.offset_s for event in rig.record.events if event.agent == site) for site in sites}
    assert set(latest.values()) == {max(latest.values())}  # what was said last was heard of everywhere
    kept = Counter(event.agent for event in rig.record.events)
    assert min(kept.values()) >= 4


def _later(number: int) -> list[AudioFrame]:
    shift = number * (WORDS[-1].offset + HOP_SAMPLES)
    return [
        replace(frame, offset=frame.offset + shift, captured_at=frame.captured_at + shift / 16_000)
        for frame in WORDS
    ]


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_whatever_sites_do_every_utterance_is_accounted_for(data: st.DataObject) -> None:
    stretch = st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(1, 40), st.integers(0, 3))
    script: list[Sound] = []
    offsets = Counter[str]()
    for site, loud, hops, skipped in data.draw(st.lists(stretch, max_size=20)):
        sound = np.full(hops * HOP_SAMPLES, 9000 if loud else 0, dtype=np.int16)
        offsets[site] += skipped * HOP_SAMPLES
        script += [replace(f, offset=f.offset + offsets[site], site=site) for f in frames_of(sound, 700)]
        offsets[site] += len(sound)
        if data.draw(st.integers(0, 5)) == 0:
            script.append(Lull(data.draw(st.sampled_from(["silent", "away", "forgotten", "waiting"])), site))
    rig = Rig(Switchboard(script))
    agent = rig.agent()
    agent.run()
    books = agent.books
    assert books.open == 0
    assert books.begun == books.published + books.dropped.get("too_short", 0)
    assert books.published == len(rig.record.events)
    for place in ("a", "b", "c", None):
        words = told(rig.record.messages, place)
        assert words.count("speech") == words.count("hush")
    for event in rig.record.events:
        assert isinstance(event, EmotionEvent)
        assert event.agent in {"a", "b", "c"}
