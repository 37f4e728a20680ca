from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from ovos_plugin_manager.phal import find_phal_plugins
from ovos_utils.fakebus import FakeBus
from support.events import an_event
from support.mqtt import Listener, Mosquitto, wait_until

from ser_agent.errors import ConfigError
from ser_agent.ovos.phal import TAILS, EmotionBridge
from ser_agent.ovos.settings import BRIDGE

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ears:
    """Notes what comes over the bus."""

    def __init__(self) -> None:
        self.bus = FakeBus()
        self.heard: list[tuple[str, dict[str, Any]]] = []
        for tail in TAILS:
            kind = f"ser_agent.{tail}"
            self.bus.on(kind, lambda message: self.heard.append((message.msg_type, message.data)))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for heard, data in self.heard if heard == kind]


@pytest.fixture
def ears(broker: Mosquitto) -> Iterator[Ears]:
    made = Ears()
    bridge = EmotionBridge(bus=made.bus, config={"agent": {"host": "127.0.0.1", "port": broker.port}})
    yield made
    bridge.shutdown()


def test_openvoiceos_finds_it_and_builds_it_only_where_it_is_configured() -> None:
    plugin = find_phal_plugins()[BRIDGE]
    assert plugin is EmotionBridge
    assert not plugin.validator.validate(None)
    assert not plugin.validator.validate({})
    assert not plugin.validator.validate({"enabled": False})
    assert plugin.validator.validate({"agent": {"host": "broker"}})


@pytest.mark.broker
def test_what_agents_publish_comes_over_the_bus(ears: Ears, listener: Listener) -> None:
    listener.say("ser-agent/kitchen/availability", "online", retain=True)
    wait_until(lambda: ears.of("ser_agent.availability"), "the bridge listens")
    event = {**an_event(site="kitchen").model_dump(mode="json", by_alias=True), "event_type": "happy"}
    listener.say("ser-agent/kitchen/event", json.dumps(event))
    listener.say("ser-agent/attic/speech", "ON")
    listener.say("ser-agent/attic/stats", "{}")
    listener.say("ser-agent/attic/emotion", b"\xff[nonsense")
    listener.say("ser-agent/attic/mood", "[1]")
    wait_until(lambda: ears.of("ser_agent.mood"), "all has come")
    assert ears.of("ser_agent.availability")[0]["value"] == "online"
    assert ears.of("ser_agent.event") == [{"site": "kitchen", "retained": False, **event}]
    assert ears.of("ser_agent.speech") == [{"site": "attic", "retained": False, "value": "ON"}]
    assert ears.of("ser_agent.emotion")[0]["value"].endswith("[nonsense")
    assert {kind for kind, _ in ears.heard} == {f"ser_agent.{tail}" for tail in TAILS}


def test_what_is_wrong_with_its_configuration_is_told_with_its_key() -> None:
    with pytest.raises(ConfigError, match=rf"{BRIDGE}: agent\.port"):
        EmotionBridge(bus=FakeBus(), config={"agent": {"port": 0}})
