"""The discovery message's schema refuses what Home Assistant would refuse, or pass over without a word."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from support.examples import discovery
from support.schemas import refusals


def changed(path: str, value: object) -> dict[str, Any]:
    """The message with one thing changed; None takes it away."""
    message = copy.deepcopy(discovery())
    *steps, last = path.split(".")
    node = message
    for step in steps:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return message


def test_our_message_is_one() -> None:
    assert refusals("discovery", discovery()) == []


@pytest.mark.parametrize("gone", ["device", "origin", "components", "device.identifiers", "origin.name"])
def test_it_has_what_home_assistant_asks_for(gone: str) -> None:
    assert refusals("discovery", changed(gone, None))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("components.emotion.object_id", "emotion", id="a key that is going away"),
        pytest.param("components.emotion.stat_t", "x", id="an abbreviated key"),
        pytest.param("components.emotion.expire_after", 60, id="expiry of a retained state"),
        pytest.param("components.emotion.json_attributes_topic", "x/y", id="attributes that change all the time"),
        pytest.param("components.emotion.options", None, id="an enum without options"),
        pytest.param("components.emotion.options", [], id="an enum with no options"),
        pytest.param("components.emotion.state_class", "measurement", id="an enum with a state class"),
        pytest.param("components.emotion.unit_of_measurement", "%", id="an enum with a unit"),
        pytest.param("components.confidence.options", ["a"], id="options without an enum"),
        pytest.param("components.emotion_event.event_types", None, id="an event without types"),
        pytest.param("components.emotion_event.payload_on", "ON", id="a key of another platform"),
        pytest.param("components.threshold.min", None, id="a number that would begin at 1"),
        pytest.param("components.threshold.retain", True, id="retained commands"),
        pytest.param("components.microphone.entity_category", "config", id="a binary sensor to configure"),
        pytest.param("components.emotion.unique_id", "a b", id="an identifier with a blank"),
        pytest.param("components.emotion.unique_id", None, id="no identifier"),
        pytest.param("components.emotion.platform", "vacuum", id="a platform that is not ours"),
        pytest.param("components.emotion.state_topic", "ser-agent/+/emotion", id="a topic with a wildcard"),
        pytest.param("components", {}, id="no components"),
        pytest.param("cmps", {}, id="an abbreviated root key"),
    ],
)
def test_what_home_assistant_would_refuse_or_not_understand_is_none(path: str, value: object) -> None:
    assert refusals("discovery", changed(path, value))


def test_what_its_button_sends_is_a_request() -> None:
    assert refusals("request", json.loads(discovery()["components"]["restart"]["payload_press"])) == []
