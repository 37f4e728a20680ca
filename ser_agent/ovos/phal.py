"""OpenVoiceOS's bridge: what an agent publishes over MQTT, as messages on the bus."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ovos_bus_client.message import Message
from ovos_plugin_manager.templates.phal import PHALPlugin, PHALValidator

from ser_agent.ovos.settings import BRIDGE, BridgeOptions, read
from ser_agent.voices.mqtt_watch import MqttWatch

if TYPE_CHECKING:
    from collections.abc import Mapping

TAILS: Final = ("availability", "event", "emotion", "mood", "speech")
"""The topics that are passed on, each as a message ``ser_agent.<topic>``."""


class Configured(PHALValidator):  # type: ignore[misc]  # untyped to mypy: an extra
    """The bridge is built where its section stands in the configuration."""

    @staticmethod
    def validate(config: Mapping[str, Any] | None = None) -> bool:
        """Whether it is wanted."""
        return config is not None and len(config) > 0 and config.get("enabled", True) is True


class EmotionBridge(PHALPlugin):  # type: ignore[misc]  # untyped to mypy: an extra
    """Passes an agent's events and states on to the message bus."""

    validator = Configured

    def __init__(self, bus: Any = None, config: dict[str, Any] | None = None) -> None:  # noqa: ANN401 - of an extra
        """Begin to connect in the background.

        Args:
            bus: the message bus.
            config: the plugin's section; None for OpenVoiceOS's own configuration.

        Raises:
            ConfigError: something is wrong with it.
        """
        super().__init__(bus=bus, name=BRIDGE, config=config)
        agent = read(BridgeOptions, self.config, BRIDGE).agent
        topics = [agent.topic(tail) for tail in TAILS]
        endpoint = agent.reached_as("ser-agent-ovos-bridge")
        self._root = len(agent.base_topic.split("/"))
        self._watch = MqttWatch(endpoint, agent.protocol, topics, self._take, lambda: None)
        self._watch.start()

    def shutdown(self) -> None:
        """Take leave of the broker and the bus."""
        self._watch.stop()
        super().shutdown()

    def _take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        site, tail = topic.split("/")[self._root :]
        self.bus.emit(Message(f"ser_agent.{tail}", {"site": site, "retained": retained, **_fields(payload)}))


def _fields(payload: bytes) -> dict[str, Any]:
    """What a payload says: its JSON object, or a plain ``value``."""
    text = payload.decode(errors="replace")
    try:
        fields = json.loads(text)
    except ValueError:
        return {"value": text}
    return fields if isinstance(fields, dict) else {"value": text}
