"""Whether others can trust ``availability``: birth, last will, farewell."""

from __future__ import annotations

import logging
from itertools import groupby
from typing import TYPE_CHECKING

import pytest
from support.events import an_event
from support.mqtt import PATIENCE_S, Listener, Mosquitto, break_connection, make_sink, opened, retained, wait_until

from ser_agent.messages import Availability, MicrophoneState, SpeechState

if TYPE_CHECKING:
    from pathlib import Path

    from ser_agent.sinks.mqtt import MqttSink

pytestmark = pytest.mark.broker

AVAILABILITY = "ser-agent/test/availability"


def attempts(sink: MqttSink) -> int:
    assert sink._courier is not None
    return sink._courier.attempts


def test_it_is_offline_until_it_says_online_and_offline_again_at_its_end(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with opened(make_sink(broker.port, tmp_path)) as sink:
        wait_until(lambda: listener.last("/availability") == "offline", "it connects, but is not up")
        sink.publish(Availability(online=True))
        wait_until(lambda: listener.last("/availability") == "online", "it is up")
    wait_until(lambda: listener.last("/availability") == "offline", "it says farewell")
    told = [payload for payload, _ in groupby(listener.payloads("/availability"))]  # it may insist on "online"
    assert told == ["offline", "online", "offline"]
    assert retained(broker.port)[AVAILABILITY].retain


def test_when_the_connection_breaks_the_broker_says_offline_and_it_corrects_that(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with opened(make_sink(broker.port, tmp_path, client_id="agent")) as sink:
        sink.publish(Availability(online=True))
        sink.publish(MicrophoneState(connected=True))
        sink.publish(SpeechState(speaking=True))
        sink.publish(an_event(1))
        sink.flush(PATIENCE_S)
        listener.catch_up()
        assert listener.last("/speech") == "ON"
        before = len(listener.heard)
        break_connection(sink)
        wait_until(lambda: '"happy"' in str(listener.heard[before:]), "the emotion is told again")
        tails = {"microphone", "speech"}
        wait_until(
            lambda: tails <= {heard.topic.rpartition("/")[2] for heard in listener.heard[before:]},
            "and the others",
        )
        wait_until(lambda: listener.last("/availability") == "online", "it is back")
        again = listener.heard[before:]
    assert [heard.payload for heard in again if heard.topic == AVAILABILITY][:2] == ["offline", "online"]
    assert {(heard.topic.rpartition("/")[2], heard.payload) for heard in again} >= {
        ("microphone", "ON"),
        ("speech", "ON"),
    }
    assert not [heard for heard in again if heard.topic.endswith("/event")], "an event is never told twice"


def test_what_an_earlier_life_left_is_put_right_at_once(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    for tail in ("speech", "microphone"):
        listener.say(f"ser-agent/test/{tail}", "ON", retain=True)
    listener.say("ser-agent/test/emotion", '{"emotion": "sad"}', retain=True)
    with opened(make_sink(broker.port, tmp_path)):
        wait_until(lambda: retained(broker.port)["ser-agent/test/speech"].payload == "OFF", "nobody speaks")
        wait_until(lambda: retained(broker.port)["ser-agent/test/microphone"].payload == "OFF", "it does not hear")
        assert retained(broker.port)["ser-agent/test/emotion"].fields["emotion"] == "none"


def test_a_belated_will_is_contradicted(broker: Mosquitto, listener: Listener, tmp_path: Path) -> None:
    with opened(make_sink(broker.port, tmp_path)) as sink:
        sink.publish(Availability(online=True))
        wait_until(lambda: listener.last("/availability") == "online", "it is up")
        listener.say(AVAILABILITY, "offline", retain=True)
        wait_until(lambda: listener.payloads("/availability")[-2:] == ["offline", "online"], "it insists")
        assert retained(broker.port)[AVAILABILITY].payload == "online"


def test_a_belated_will_is_left_alone_while_it_is_not_up(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with opened(make_sink(broker.port, tmp_path)) as sink:
        listener.say(AVAILABILITY, "offline", retain=True)
        sink.publish(MicrophoneState(connected=False))
        wait_until(lambda: listener.last("/microphone") == "OFF", "a later message arrives")
        assert "online" not in listener.payloads("/availability")


def test_two_agents_of_the_same_name_are_told_what_is_wrong_without_a_flood(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with opened(make_sink(broker.port, tmp_path)) as one, opened(make_sink(broker.port, tmp_path)) as other:
        wait_until(lambda: min(attempts(one), attempts(other)) > 10, "they throw each other out")
    hint = "does another client use the identifier 'ser-agent-test', too?"
    assert 1 <= caplog.text.count(hint) <= 2, "each of the two says so once"
    assert caplog.text.count(": connected, ") <= 2
