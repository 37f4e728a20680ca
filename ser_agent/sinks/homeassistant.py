"""One message that makes the agent a device of Home Assistant, with an entity for all that it tells or takes.

The keys are those of Home Assistant's device discovery (2024.11 and later), in their long form.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ser_agent.labels import UNCERTAIN
from ser_agent.sinks.mqtt_topics import (
    LISTEN_SET,
    NO_EMOTION,
    OFFLINE,
    ONLINE,
    REQUESTS,
    THRESHOLD_SET,
    Publication,
    as_json,
)
from ser_agent.translations import EntityKey, Language, entity_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ser_agent.messages import AgentInfo
    from ser_agent.sinks.mqtt_topics import Topics

Component: TypeAlias = dict[str, Any]

MAKER: Final = "ser_agent"
MODEL: Final = "Speech emotion sensor"
SATELLITE_MODEL: Final = "Voice satellite"
_PERCENT: Final = "{{ (value_json.confidence * 100) | round if value_json.confidence is not none else none }}"


def discovery_topic(prefix: str, topics: Topics) -> str:
    """Where Home Assistant looks for it."""
    return f"{prefix}/device/{topics.agent_id}/config"


def is_of_a_satellite(payload: bytes, agent: Topics) -> bool:
    """Whether a discovery message is that of a satellite which this agent hears."""
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        return False
    device = fields.get("device") if isinstance(fields, dict) else None
    return isinstance(device, dict) and device.get("via_device") == agent.agent_id


class Discovery:
    """Makes the discovery message of one agent."""

    def __init__(self, topics: Topics, prefix: str, language: Language, via: Topics | None = None) -> None:
        """Prepare.

        Args:
            topics: of the agent, or of one of its satellites.
            prefix: Home Assistant's discovery prefix.
            language: of the entities' names.
            via: of the agent, where it is a satellite's.
        """
        self.topic = discovery_topic(prefix, topics)
        self._topics = topics
        self._via = via
        self._language = language

    def message(self, info: AgentInfo) -> Publication:
        """The device as it is now.

        Args:
            info: what is running; its labels are the options of the emotions' entities.
        """
        fields = {
            "device": {
                "identifiers": [self._topics.agent_id],
                "name": _device_name(self._topics.site),
                "manufacturer": MAKER,
                "model": MODEL if self._via is None else SATELLITE_MODEL,
                "model_id": info.model,
                "sw_version": info.version,
                **({} if self._via is None else {"via_device": self._via.agent_id}),
            },
            "origin": {"name": MAKER, "sw_version": info.version},
            **self._availability(),
            "components": self._components(info),
        }
        return Publication(self.topic, as_json(fields), qos=1, retain=True)

    def _availability(self) -> dict[str, object]:
        """Up while it says so; a satellite, while the agent does too."""
        levels = [self._topics] if self._via is None else [self._via, self._topics]
        mode = {} if self._via is None else {"availability_mode": "all"}
        topics = [
            {
                "topic": topics.path("availability"),
                "payload_available": ONLINE.decode(),
                "payload_not_available": OFFLINE.decode(),
            }
            for topics in levels
        ]
        return {"availability": topics, **mode}

    def _components(self, info: AgentInfo) -> Mapping[str, Component]:
        heard = dict.fromkeys((*info.labels, UNCERTAIN))
        components = {
            **self._emotions(list(heard), list(dict.fromkeys((*heard, NO_EMOTION)))),
            **self._presence(),
            **({**self._controls(), **self._diagnostics()} if self._via is None else {}),
        }
        return {
            key: {"platform": component.pop("platform"), **self._identity(key), **component}
            for key, component in components.items()
        }

    def _identity(self, key: EntityKey) -> Component:
        return {
            "unique_id": f"{self._topics.agent_id}-{key}",
            "name": entity_name(key, self._language),
            "qos": 1,
        }

    def _emotions(self, event_types: list[str], options: list[str]) -> dict[EntityKey, Component]:
        emotion = self._topics.path("emotion")
        return {
            "emotion": {
                "platform": "sensor",
                "device_class": "enum",
                "options": options,
                "state_topic": emotion,
                "value_template": "{{ value_json.emotion }}",
                "icon": "mdi:emoticon-outline",
            },
            "emotion_event": {
                "platform": "event",
                "event_types": event_types,
                "state_topic": self._topics.path("event"),
                "icon": "mdi:account-voice",
            },
            "confidence": {
                "platform": "sensor",
                "state_topic": emotion,
                "value_template": _PERCENT,
                "unit_of_measurement": "%",
                "state_class": "measurement",
                "icon": "mdi:gauge",
            },
            "mood": {
                "platform": "sensor",
                "device_class": "enum",
                "options": [option for option in options if option != UNCERTAIN],
                "state_topic": self._topics.path("mood"),
                "value_template": "{{ value_json.mood }}",
                "icon": "mdi:weather-partly-cloudy",
                "enabled_by_default": False,
            },
        }

    def _presence(self) -> dict[EntityKey, Component]:
        return {
            "speech": {
                "platform": "binary_sensor",
                "device_class": "sound",
                "state_topic": self._topics.path("speech"),
            },
            "microphone": {
                "platform": "binary_sensor",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
                "state_topic": self._topics.path("microphone"),
            },
        }

    def _controls(self) -> dict[EntityKey, Component]:
        return {
            "listening": {
                "platform": "switch",
                "state_topic": self._topics.path("listen/state"),
                "command_topic": self._topics.path(LISTEN_SET),
                "icon": "mdi:ear-hearing",
            },
            "threshold": {
                "platform": "number",
                "entity_category": "config",
                "state_topic": self._topics.path("threshold/state"),
                "command_topic": self._topics.path(THRESHOLD_SET),
                "min": 0,
                "max": 1,
                "step": 0.01,
                "mode": "slider",
                "icon": "mdi:tune-variant",
            },
            "restart": {
                "platform": "button",
                "device_class": "restart",
                "entity_category": "config",
                "command_topic": self._topics.path(f"{REQUESTS}restart"),
                "payload_press": "{}",
            },
        }

    def _diagnostics(self) -> dict[EntityKey, Component]:
        stats = self._topics.path("stats")
        return {
            "latency": {
                "platform": "sensor",
                "device_class": "duration",
                "unit_of_measurement": "ms",
                "state_class": "measurement",
                "state_topic": stats,
                "value_template": "{{ value_json.latency_p95_ms }}",
                "entity_category": "diagnostic",
                "enabled_by_default": False,
            },
            "utterances": {
                "platform": "sensor",
                "state_class": "total_increasing",
                "state_topic": stats,
                "value_template": "{{ value_json.utterances }}",
                "icon": "mdi:counter",
                "entity_category": "diagnostic",
                "enabled_by_default": False,
            },
        }


def _device_name(site: str) -> str:
    words = site.replace("-", " ").replace("_", " ").split()
    return " ".join(words).capitalize() or site
