"""The files for openHAB fit the agent's topics and payloads, and each other."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from support.events import an_event
from support.examples import EXAMPLES, TOPICS

from ser_agent.labels import Emotion

if TYPE_CHECKING:
    from ser_agent.sinks.mqtt_topics import Publication

FOLDER = EXAMPLES / "openhab"
CHANNEL = re.compile(r'Type (\w+)\s*:\s*(\w+)\s+"[^"]+"\s+\[ (.*) \]')
SETTING = re.compile(r'(\w+)=(?:"([^"]*)"|([\d.]+))')
KEYS = {"stateTopic", "commandTopic", "transformationPattern", "min", "max", "step"}
"""Of a channel, as the MQTT binding documents them."""
THING = "mqtt:topic:home:living_room"
ITEM_TYPES = {"string": "String", "number": "Number", "switch": "Switch"}


def channels() -> dict[str, tuple[str, dict[str, str]]]:
    """Type and settings of every channel."""
    text = (FOLDER / "ser_agent.things").read_text(encoding="utf-8")
    return {
        name: (kind, {key: quoted or bare for key, quoted, bare in SETTING.findall(settings)})
        for kind, name, settings in CHANNEL.findall(text)
    }


def publications() -> dict[str, Publication]:
    """What the agent publishes, by topic."""
    told = [
        TOPICS.availability(online=True),
        TOPICS.event(an_event()),
        TOPICS.emotion(an_event()),
        TOPICS.speech(speaking=True),
        TOPICS.microphone(connected=True),
        TOPICS.listening(on=True),
        TOPICS.threshold(0.4),
    ]
    return {publication.topic: publication for publication in told}


def test_the_braces_and_brackets_are_closed_and_every_channel_is_read() -> None:
    text = (FOLDER / "ser_agent.things").read_text(encoding="utf-8")
    for opening, closing in ("{}", "[]"):
        assert text.count(opening) == text.count(closing) > 0
    assert len(channels()) == text.count("Type ")
    assert f"Bridge mqtt:broker:{THING.split(':')[2]} " in text
    assert f"Thing topic {THING.split(':')[3]} " in text


def test_every_state_topic_is_one_of_the_agents_and_its_payload_can_be_read_so() -> None:
    told = publications()
    for kind, settings in channels().values():
        assert settings.keys() <= KEYS
        payload = told[settings["stateTopic"]].payload.decode()
        if pattern := settings.get("transformationPattern"):
            payload = str(json.loads(payload)[pattern.removeprefix("JSONPATH:$.")])
        if kind == "switch":
            assert payload in {"ON", "OFF"}
        elif kind == "number":
            assert 0.0 <= float(payload) <= 1.0
        else:
            assert payload in set(Emotion)


def test_commands_go_where_the_agent_takes_them() -> None:
    commands = {settings["commandTopic"] for _, settings in channels().values() if "commandTopic" in settings}
    assert commands == {TOPICS.path("listen/set"), TOPICS.path("threshold/set")}


def test_the_availability_is_the_agents() -> None:
    text = (FOLDER / "ser_agent.things").read_text(encoding="utf-8")
    settings = {key: quoted for key, quoted, _ in SETTING.findall(text.partition("Channels:")[0])}
    online, offline = (TOPICS.availability(online=online) for online in (True, False))
    assert settings["availabilityTopic"] == online.topic
    assert settings["payloadAvailable"].encode() == online.payload
    assert settings["payloadNotAvailable"].encode() == offline.payload


def test_every_item_is_linked_to_a_channel_of_its_type() -> None:
    text = (FOLDER / "ser_agent.items").read_text(encoding="utf-8")
    links = re.findall(r'^(\w+) \w+ .*\{ channel="([\w:]+)" \}$', text, re.MULTILINE)
    assert len(links) == len(text.splitlines())
    stateful = {f"{THING}:{name}": ITEM_TYPES[kind] for name, (kind, _) in channels().items() if kind != "trigger"}
    assert {channel: item for item, channel in links} == stateful


def test_the_rule_waits_for_an_emotion_on_the_trigger_channel() -> None:
    text = (FOLDER / "ser_agent.rules").read_text(encoding="utf-8")
    ((thing, channel, emotion),) = re.findall(r'Channel "([\w:]+):(\w+)" triggered "(\w+)"', text)
    assert thing == THING
    assert channels()[channel][0] == "trigger"
    assert emotion in set(Emotion)
