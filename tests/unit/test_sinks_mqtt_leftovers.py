from __future__ import annotations

import json

import pytest

from ser_agent.sinks.mqtt_leftovers import MOST_LEFT, Leftovers
from ser_agent.sinks.mqtt_topics import STATES, cleared
from ser_agent.state import StateFile

SECTION = "mqtt localhost:1883/ser-agent"
DISCOVERY = "homeassistant/device/ser-agent-{}/config"


def living_at(state: StateFile, site: str, discovery: str | None = "") -> Leftovers:
    topic = DISCOVERY.format(site) if discovery == "" else discovery
    return Leftovers(state, "localhost:1883", "ser-agent", site, topic)


def info_of(instance: str) -> bytes:
    return json.dumps({"instance": instance}).encode()


def test_an_agent_that_stays_leaves_nothing() -> None:
    state = StateFile()
    living_at(state, "attic").record("1")
    again = living_at(state, "attic")
    assert again.subscriptions == []
    assert list(again.beginning()) == []


def test_a_former_site_is_cleared_once_if_it_is_still_ours() -> None:
    state = StateFile()
    living_at(state, "attic").record("1")
    moved = living_at(state, "cellar")
    assert moved.subscriptions == ["ser-agent/attic/info"]
    moved.record("2")
    assert moved.examine("ser-agent/cellar/info", info_of("1")) == []
    assert moved.examine("ser-agent/attic/info", info_of("1")) == [
        cleared(DISCOVERY.format("attic")),
        *(cleared(f"ser-agent/attic/{tail}") for tail in STATES),
    ]
    assert moved.examine("ser-agent/attic/info", info_of("1")) == []
    assert living_at(state, "cellar").subscriptions == []


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"instance": null}', b'{"instance": "2"}', b"\xff"])
def test_a_former_site_that_is_not_ours_any_more_is_left_alone_and_forgotten(payload: bytes) -> None:
    state = StateFile()
    living_at(state, "attic").record("1")
    moved = living_at(state, "cellar")
    assert moved.examine("ser-agent/attic/info", payload) == []
    assert moved.subscriptions == []


def test_who_moves_back_clears_nothing() -> None:
    state = StateFile()
    for site in ("attic", "cellar", "attic"):
        living_at(state, site).record(site)
    assert living_at(state, "attic").subscriptions == ["ser-agent/cellar/info"]


def test_not_every_site_that_ever_was_is_remembered() -> None:
    state = StateFile()
    for number in range(50):
        living_at(state, f"room-{number}").record(str(number))
    assert len(living_at(state, "attic").subscriptions) <= MOST_LEFT + 1


@pytest.mark.parametrize("topic", [None, "ha/device/ser-agent-attic/config"])
def test_a_former_discovery_message_is_withdrawn_once(topic: str | None) -> None:
    state = StateFile()
    living_at(state, "attic").record("1")
    changed = living_at(state, "attic", topic)
    assert list(changed.beginning()) == [cleared(DISCOVERY.format("attic"))]
    assert list(changed.beginning()) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"last": None, "left": None},
        {"last": [], "left": {"site": "x"}},
        {"last": {"site": 7}, "left": [7, {}, {"site": "x"}, {"site": "x", "instance": None}]},
        {"last": {"site": "x", "instance": "1", "discovery": 7}},
    ],
)
def test_facts_that_make_no_sense_clear_nothing(facts: dict[str, object]) -> None:
    state = StateFile()
    state.write(SECTION, facts)
    leftovers = living_at(state, "attic")
    assert leftovers.subscriptions == []
    assert list(leftovers.beginning()) == []
