"""What the broker is shown of the agent's satellites."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.events import an_event, some_info
from support.schemas import refusals

from ser_agent.messages import (
    AnyMessage,
    Availability,
    MicrophoneState,
    SiteForgotten,
    SpeechState,
    ThresholdState,
)
from ser_agent.sinks.homeassistant import Discovery
from ser_agent.sinks.mqtt_display import Display
from ser_agent.sinks.mqtt_satellites import MOST, Household, SatelliteMemory
from ser_agent.sinks.mqtt_topics import STATES, Topics
from ser_agent.state import StateFile

if TYPE_CHECKING:
    from ser_agent.sinks.mqtt_states import StateBoard

HUB = Topics("ser-agent", "hub")


def household(state: StateFile | None = None) -> Household:
    def display(site: str, board: StateBoard | None, via: Topics | None) -> Display:
        topics = Topics("ser-agent", site)
        return Display(
            topics, Discovery(topics, "homeassistant", "en", via), hold_s=30.0, mood_s=60.0, board=board
        )

    memory = SatelliteMemory(state or StateFile(), "broker:1883", "ser-agent")
    return Household(display("hub", None, None), lambda site, board: display(site, board, HUB), memory)


def shown(those: Household, *messages: AnyMessage) -> dict[str, bytes]:
    """What would be sent after some messages, by topic."""
    for message in messages:
        those.show(message, 0.0)
    sent = {}
    while (publication := those.board.take()) is not None:
        sent[publication.topic] = publication.payload
    return sent


def config_of(sent: dict[str, bytes], site: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(sent[f"homeassistant/device/ser-agent-{site}/config"])
    return fields


def test_a_satellite_has_topics_of_its_own_from_when_it_is_first_heard() -> None:
    those = household()
    before = shown(those, some_info())
    assert not [topic for topic in before if "kitchen" in topic]
    sent = shown(
        those,
        Availability(online=True, site="kitchen"),
        MicrophoneState(connected=True, site="kitchen"),
        SpeechState(speaking=True, site="kitchen"),
        an_event(site="kitchen"),
    )
    assert sent["ser-agent/kitchen/availability"] == b"online"
    assert sent["ser-agent/kitchen/microphone"] == sent["ser-agent/kitchen/speech"] == b"ON"
    assert json.loads(sent["ser-agent/kitchen/emotion"])["emotion"] == "happy"
    assert json.loads(sent["ser-agent/kitchen/mood"])["mood"] == "happy"
    assert not [topic for topic in sent if topic.startswith("ser-agent/hub/")]
    assert those.event(an_event(site="kitchen")).topic == "ser-agent/kitchen/event"
    assert those.event(an_event(site="hub")).topic == "ser-agent/hub/event"


def test_home_assistant_finds_it_as_a_device_behind_the_agent() -> None:
    fields = config_of(shown(household(), some_info(), Availability(online=True, site="kitchen")), "kitchen")
    assert refusals("discovery", fields) == []
    assert fields["device"]["via_device"] == "ser-agent-hub"
    assert fields["device"]["name"] == "Kitchen"
    assert fields["availability_mode"] == "all"
    assert [level["topic"] for level in fields["availability"]] == [
        "ser-agent/hub/availability",
        "ser-agent/kitchen/availability",
    ]
    assert set(fields["components"]) == {"emotion", "emotion_event", "confidence", "mood", "speech", "microphone"}
    ids = {component["unique_id"] for component in fields["components"].values()}
    assert all(identity.startswith("ser-agent-kitchen-") for identity in ids)


def test_the_agent_s_own_device_stays_as_it_was() -> None:
    fields = config_of(shown(household(), some_info()), "hub")
    assert "via_device" not in fields["device"]
    assert "availability_mode" not in fields
    assert "listening" in fields["components"]


def test_what_concerns_the_agent_is_not_said_of_its_satellites() -> None:
    those = household()
    shown(those, Availability(online=True, site="kitchen"))
    sent = shown(those, ThresholdState(value=0.5), SpeechState(speaking=True), Availability(online=True))
    assert all(topic.startswith("ser-agent/hub/") for topic in sent)
    assert those.online


def test_when_the_agent_goes_its_satellites_go_too() -> None:
    those = household()
    shown(those, Availability(online=True), Availability(online=True, site="kitchen"))
    those.set_online(online=False)
    assert shown(those) == {"ser-agent/hub/availability": b"offline", "ser-agent/kitchen/availability": b"offline"}


def test_one_that_is_forgotten_leaves_nothing_on_the_broker_and_nothing_in_memory() -> None:
    those = household()
    shown(those, some_info(), Availability(online=True, site="kitchen"))
    sent = shown(those, SiteForgotten(site="kitchen"))
    assert set(sent) == {
        "homeassistant/device/ser-agent-kitchen/config",
        *(f"ser-agent/kitchen/{tail}" for tail in STATES),
    }
    assert set(sent.values()) == {b""}
    those.board.reassert()
    assert not [topic for topic in shown(those) if "kitchen" in topic]
    assert shown(those, SiteForgotten(site="kitchen")) == {}


def test_those_of_an_earlier_life_are_offline_until_they_are_heard() -> None:
    state = StateFile()
    shown(household(state), Availability(online=True, site="kitchen"))
    those = household(state)
    sent = shown(those, some_info())
    assert sent["ser-agent/kitchen/availability"] == b"offline"
    assert config_of(sent, "kitchen")["device"]["via_device"] == "ser-agent-hub"
    state.write("satellites broker:1883/ser-agent", {"sites": "nonsense"})
    assert not [topic for topic in shown(household(state)) if "kitchen" in topic]


def test_there_are_never_too_many() -> None:
    those = household()
    for number in range(MOST + 3):
        shown(those, Availability(online=True, site=f"satellite-{number}"))
    sent = shown(those, some_info())
    assert sum("satellite" in topic and topic.endswith("/config") for topic in sent) == MOST


def test_emotions_fall_back_to_none_at_each_of_them() -> None:
    those = household()
    shown(those, Availability(online=True, site="kitchen"), an_event(site="kitchen"))
    assert those.remaining_s(10.0) == 20.0
    those.expire(31.0)
    assert json.loads(shown(those)["ser-agent/kitchen/emotion"])["emotion"] == "none"
