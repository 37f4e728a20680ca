"""A stand-in for Home Assistant as far as MQTT goes: is born, discovers devices, shows states, sends commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.mqtt import Listener

if TYPE_CHECKING:
    from collections.abc import Mapping

BIRTH = "homeassistant/status"


class Hub(Listener):
    """Subscribes to discovery messages, and then, as Home Assistant does, to the topics that these name."""

    def restart(self, *, retained_birth: bool = False) -> int:
        """Go and come back, as on an update.

        Returns:
            How many messages had been heard before.
        """
        self.say(BIRTH, "offline", retain=retained_birth)
        before = len(self.heard)
        self.say(BIRTH, "online", retain=retained_birth)
        return before

    @property
    def devices(self) -> dict[str, Mapping[str, Any]]:
        """The devices that are there now, by their name in the discovery topic."""
        latest = {heard.topic: heard.payload for heard in self.heard if heard.topic.endswith("/config")}
        return {topic.split("/")[-2]: json.loads(payload) for topic, payload in latest.items() if payload}

    def device(self, name: str = "ser-agent-test") -> Mapping[str, Any]:
        """What was discovered of a device."""
        return self.devices[name]

    def component(self, key: str, device: str = "ser-agent-test") -> Mapping[str, Any]:
        """One entity of a device."""
        component: Mapping[str, Any] = self.device(device)["components"][key]
        return component

    def turn(self, payload: str, device: str = "ser-agent-test") -> None:
        """Turn the switch of an agent."""
        self.say(self.component("listening", device)["command_topic"], payload)

    def slide(self, value: str, device: str = "ser-agent-test") -> None:
        """Set the number of an agent."""
        self.say(self.component("threshold", device)["command_topic"], value)

    def press(self, device: str = "ser-agent-test") -> None:
        """Press the button of an agent."""
        button = self.component("restart", device)
        self.say(button["command_topic"], button["payload_press"])

    def state(self, key: str, device: str = "ser-agent-test") -> str | None:
        """What stands on an entity's topic."""
        return self.last(self.component(key, device)["state_topic"])

    def is_available(self, device: str = "ser-agent-test") -> bool:
        """Whether the device counts as available."""
        (availability,) = self.device(device)["availability"]
        return bool(self.last(availability["topic"]) == availability["payload_available"])
