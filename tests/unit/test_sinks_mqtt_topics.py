"""The contract with everything that listens: a change here breaks other people's automations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.events import an_event, some_info, some_stats

from ser_agent.commands import Reply
from ser_agent.mood import Mood
from ser_agent.sinks.mqtt_topics import STATES, Publication, Topics, cleared

if TYPE_CHECKING:
    from ser_agent.messages import EmotionEvent

TOPICS = Topics("ser-agent", "kitchen")


def test_an_event_is_schema_1_and_its_event_type() -> None:
    assert TOPICS.event(an_event(7, site="kitchen")) == Publication(
        "ser-agent/kitchen/event",
        b'{"schema":1,"id":"00000000000000000000000007","agent":"kitchen","started_at":"2026-11-24T08:30:12.480Z",'
        b'"offset_s":7.0,"duration_s":2.31,"emotion":"happy","confidence":0.87,"emotions":[{"label":"happy",'
        b'"score":0.87},{"label":"neutral","score":0.08},{"label":"surprise","score":0.05}],"end_reason":"silence",'
        b'"level_dbfs":-23.1,"source":"microphone","model":"embedded@1","latency_ms":141,"session_id":null,"event_type":"happy"}',
        qos=1,
        retain=False,
    )


def test_the_state_of_emotion_tells_the_best_three() -> None:
    assert TOPICS.emotion(an_event()) == Publication(
        "ser-agent/kitchen/emotion",
        b'{"emotion":"happy","confidence":0.87,"second":"neutral","second_confidence":0.08,"third":"surprise",'
        b'"third_confidence":0.05}',
        qos=1,
        retain=True,
    )


def test_without_an_event_the_emotion_is_none() -> None:
    assert TOPICS.emotion(None).payload == (
        b'{"emotion":"none","confidence":null,"second":null,"second_confidence":null,"third":null,'
        b'"third_confidence":null}'
    )


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (an_event().model_copy(update={"emotions": an_event().emotions[:1]}), ["happy", None, None]),
        (an_event().model_copy(update={"emotions": an_event().emotions * 2}), ["happy", "neutral", "surprise"]),
        (an_event(emotion="uncertain", confidence=0.3), ["uncertain", "neutral", "surprise"]),
    ],
)
def test_the_state_has_three_ranks_however_many_the_event_has(event: EmotionEvent, expected: list[str]) -> None:
    fields = json.loads(TOPICS.emotion(event).payload)
    assert [fields["emotion"], fields["second"], fields["third"]] == expected


@pytest.mark.parametrize(
    ("publication", "expected"),
    [
        (TOPICS.availability(online=True), ("availability", b"online", 1, True)),
        (TOPICS.availability(online=False), ("availability", b"offline", 1, True)),
        (TOPICS.speech(speaking=True), ("speech", b"ON", 0, True)),
        (TOPICS.speech(speaking=False), ("speech", b"OFF", 0, True)),
        (TOPICS.microphone(connected=True), ("microphone", b"ON", 1, True)),
        (TOPICS.microphone(connected=False), ("microphone", b"OFF", 1, True)),
        (TOPICS.listening(on=True), ("listen/state", b"ON", 1, True)),
        (TOPICS.listening(on=False), ("listen/state", b"OFF", 1, True)),
        (TOPICS.threshold(0.55), ("threshold/state", b"0.55", 1, True)),
        (TOPICS.threshold(1.0), ("threshold/state", b"1", 1, True)),
        (TOPICS.mood(Mood("sad", 2 / 3)), ("mood", b'{"mood":"sad","share":0.67}', 1, True)),
        (TOPICS.mood(None), ("mood", b'{"mood":"none","share":null}', 1, True)),
        (
            TOPICS.response("restart", Reply(error="no"), "a"),
            ("response/restart", b'{"data":{},"status":"error","error":"no","transaction":"a"}', 1, False),
        ),
        (
            TOPICS.response("health_check", Reply({"healthy": True}), None),
            (
                "response/health_check",
                b'{"data":{"healthy":true},"status":"ok","error":null,"transaction":null}',
                1,
                False,
            ),
        ),
    ],
)
def test_plain_states(publication: Publication, expected: tuple[str, bytes, int, bool]) -> None:
    name, payload, qos, retain = expected
    assert publication == Publication(f"ser-agent/kitchen/{name}", payload, qos, retain)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("topic", "tail"),
    [
        ("ser-agent/kitchen/listen/set", "listen/set"),
        ("ser-agent/kitchen/", ""),
        ("ser-agent/kitchen", None),
        ("ser-agent/kitchen2/listen/set", None),
        ("homeassistant/status", None),
        ("", None),
    ],
)
def test_what_stands_behind_base_topic_and_site(topic: str, tail: str | None) -> None:
    assert TOPICS.tail(topic) == tail


def test_what_the_broker_keeps_is_what_is_cleared_under_a_former_site() -> None:
    kept = (
        TOPICS.availability(online=True),
        TOPICS.emotion(None),
        TOPICS.speech(speaking=True),
        TOPICS.microphone(connected=True),
        TOPICS.listening(on=True),
        TOPICS.threshold(0.4),
        TOPICS.mood(None),
        TOPICS.info(some_info()),
    )
    assert {publication.topic for publication in kept if publication.retain} == {
        TOPICS.path(tail) for tail in STATES
    }
    assert cleared("a/b") == Publication("a/b", b"", qos=1, retain=True)


def test_info_is_retained_and_whole() -> None:
    publication = TOPICS.info(some_info())
    assert (publication.topic, publication.qos, publication.retain) == ("ser-agent/kitchen/info", 1, True)
    assert json.loads(publication.payload) == {
        "version": "0.1.0",
        "site": "test",
        "model": "embedded@1",
        "model_licence": "MIT",
        "labels": ["angry", "happy"],
        "languages": ["en"],
        "schema": 1,
        "config_digest": "0" * 64,
        "instance": "01JDEC0DE",
        "recording": False,
        "audio_sent_to": None,
    }


def test_stats_are_not_retained() -> None:
    publication = TOPICS.stats(some_stats())
    assert (publication.topic, publication.qos, publication.retain) == ("ser-agent/kitchen/stats", 0, False)
    assert json.loads(publication.payload)["dropped"] == {"too_short": 1}
