"""Everything that the sink really publishes is what the published schemas say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.events import an_event, some_info, some_stats
from support.mqtt import PATIENCE_S, Listener, Mosquitto, make_sink, opened, wait_until
from support.schemas import kind_of, refused

from ser_agent.commands import CommandDesk, Reply, Request
from ser_agent.messages import (
    AnyMessage,
    Availability,
    EmotionScore,
    ListeningState,
    MicrophoneState,
    SpeechState,
    ThresholdState,
    make_partial,
)
from ser_agent.schemas import schemas

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.broker

ONE_LABEL = an_event(2).model_copy(update={"emotions": (EmotionScore(label="joy", score=1.0),), "emotion": "joy"})
EVERYTHING: tuple[AnyMessage, ...] = (
    some_info(),
    some_info().model_copy(update={"model_licence": None, "languages": ()}),
    Availability(online=True),
    MicrophoneState(connected=True),
    SpeechState(speaking=True),
    SpeechState(speaking=False),
    ListeningState(on=False),
    ThresholdState(value=0.0),
    ThresholdState(value=1.0),
    an_event(1, confidence=0.0, emotion="uncertain"),
    ONE_LABEL,
    some_stats(),
    some_stats().model_copy(
        update={"latency_p50_ms": None, "latency_p95_ms": None, "real_time_factor": None, "rss_mb": None}
    ),
    make_partial(an_event(3)),
)


def answer(request: Request) -> None:
    request.answer(Reply({"healthy": True}))


def test_every_message_fits_the_schema_of_its_topic(broker: Mosquitto, listener: Listener, tmp_path: Path) -> None:
    sink = make_sink(broker.port, tmp_path, desk=CommandDesk(answer), hold_seconds=0.1)
    with opened(sink):
        for message in EVERYTHING:
            sink.publish(message)
        sink.flush(PATIENCE_S)
        for command, transaction in (("health_check", "a"), ("health_check", 7), ("no_such_thing", None)):
            listener.say(f"ser-agent/test/request/{command}", json.dumps({"transaction": transaction}))
        listener.say("ser-agent/test/threshold/set", "0.5")
        wait_until(lambda: len(listener.on("/response/health_check")) == 2, "the requests are answered")
        wait_until(lambda: listener.on("/response/no_such_thing"), "the wrong request is refused")
        wait_until(lambda: '"none"' in (listener.last("/emotion") or ""), "the emotion falls back")
    wait_until(lambda: listener.last("/availability") == "offline", "the agent takes its leave")
    assert [refusal for heard in listener.heard for refusal in refused(heard)] == []
    assert {kind_of(heard.topic) for heard in listener.heard} == {schema.name for schema in schemas()}
