"""What subscribers see: topics, payloads, flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.events import an_event, some_info, some_stats
from support.mqtt import PATIENCE_S, Listener, Mosquitto, free_port, make_sink, opened, retained, wait_until

from ser_agent.messages import Availability, ListeningState, MicrophoneState, SpeechState, ThresholdState
from ser_agent.testing import check_sink

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.broker

EVERYTHING = (
    Availability(online=True),
    some_info(),
    ThresholdState(value=0.4),
    ListeningState(on=True),
    MicrophoneState(connected=True),
    SpeechState(speaking=True),
    SpeechState(speaking=False),
    an_event(1),
    some_stats(),
)


def test_it_keeps_the_promises_of_a_sink(broker: Mosquitto, tmp_path: Path) -> None:
    check_sink(make_sink(broker.port, tmp_path), an_event(1))


@pytest.mark.parametrize("protocol", ["auto", "5", "3.1.1"])
def test_each_topic_has_its_qos_and_retained_flag(
    broker: Mosquitto, listener: Listener, tmp_path: Path, protocol: str
) -> None:
    with opened(make_sink(broker.port, tmp_path, protocol=protocol)) as sink:
        for message in EVERYTHING:
            sink.publish(message)
        sink.flush(PATIENCE_S)
        wait_until(lambda: listener.on("/event") and listener.on("/stats"), "event and stats arrive")
    flags = {(heard.topic.removeprefix("ser-agent/test/"), heard.qos, heard.retain) for heard in listener.heard}
    assert flags == {
        ("homeassistant/device/ser-agent-test/config", 1, True),
        ("availability", 1, True),
        ("listen/state", 1, True),
        ("threshold/state", 1, True),
        ("event", 1, False),
        ("emotion", 1, True),
        ("mood", 1, True),
        ("speech", 0, True),
        ("microphone", 1, True),
        ("stats", 0, False),
        ("info", 1, True),
    }


def test_a_newcomer_finds_all_states_and_no_old_event(broker: Mosquitto, tmp_path: Path) -> None:
    with opened(make_sink(broker.port, tmp_path)) as sink:
        for message in EVERYTHING:
            sink.publish(message)
        sink.flush(PATIENCE_S)
        found = retained(broker.port)
    assert {topic.removeprefix("ser-agent/test/"): heard.payload for topic, heard in found.items()} == {
        "homeassistant/device/ser-agent-test/config": found["homeassistant/device/ser-agent-test/config"].payload,
        "availability": "online",
        "threshold/state": "0.4",
        "listen/state": "ON",
        "emotion": found["ser-agent/test/emotion"].payload,
        "mood": '{"mood":"none","share":null}',
        "speech": "OFF",
        "microphone": "ON",
        "info": found["ser-agent/test/info"].payload,
    }
    assert found["ser-agent/test/emotion"].fields["emotion"] == "happy"
    assert found["ser-agent/test/info"].fields["schema"] == 1


def test_the_emotion_falls_back_to_none_after_the_hold_time(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with opened(make_sink(broker.port, tmp_path, hold_seconds=0.3)) as sink:
        sink.publish(SpeechState(speaking=True))
        sink.publish(an_event(1))
        wait_until(lambda: '"happy"' in (listener.last("/emotion") or ""), "the emotion is shown")
        sink.publish(SpeechState(speaking=False))  # from now on the time counts
        wait_until(lambda: '"none"' in (listener.last("/emotion") or ""), "the emotion falls back")


def test_two_sites_share_a_broker_and_nothing_else(broker: Mosquitto, listener: Listener, tmp_path: Path) -> None:
    kitchen = make_sink(broker.port, tmp_path, site="kitchen")
    bedroom = make_sink(broker.port, tmp_path, site="bedroom", base_topic="home/voices")
    with opened(kitchen), opened(bedroom):
        for sink in (kitchen, bedroom):
            sink.publish(Availability(online=True))
        kitchen.publish(an_event(1, site="kitchen"))
        bedroom.publish(an_event(2, site="bedroom", emotion="sad"))
        kitchen.flush(PATIENCE_S)
        bedroom.flush(PATIENCE_S)
        found = retained(broker.port)
    wait_until(lambda: len(listener.event_ids()) == 2, "both events arrive")
    assert [heard.fields["agent"] for heard in listener.on("ser-agent/kitchen/event")] == ["kitchen"]
    assert [heard.fields["agent"] for heard in listener.on("home/voices/bedroom/event")] == ["bedroom"]
    assert found["ser-agent/kitchen/availability"].payload == "online"
    assert found["home/voices/bedroom/availability"].payload == "online"


def test_websockets_carry_the_same(mosquitto: str, tmp_path: Path) -> None:
    port = free_port()
    # mosquitto 2.0.11 refuses to start with a websockets listener alone
    with (
        Mosquitto(mosquitto, tmp_path, f"listener {port} 127.0.0.1\nprotocol websockets") as broker,
        Listener(broker.port) as listener,
        opened(make_sink(port, tmp_path, transport="websockets", path="/mqtt")) as sink,
    ):
        for number in range(30):
            sink.publish(an_event(number))
        wait_until(lambda: len(listener.event_ids()) == 30, "all events arrive")
        assert sink.probe(PATIENCE_S).endswith("speaks MQTT 5")
