"""The examples, and the device that they talk of: an agent whose site is ``living-room``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from support.events import some_info

from ser_agent.labels import Emotion
from ser_agent.sinks.homeassistant import Discovery
from ser_agent.sinks.mqtt_topics import Topics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.messages import AgentInfo

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HOME_ASSISTANT = EXAMPLES / "home-assistant"
SITE = "living-room"
TOPICS = Topics("ser-agent", SITE)
THE_HOUSES_OWN = {"light.living_room", "media_player.living_room", "input_boolean.guests"}
"""Entities that are not the agent's: each file says which of them to replace."""
_ENTITY = re.compile(
    r"\b(?:binary_sensor|button|event|input_boolean|light|media_player|number|sensor|switch)\.[a-z0-9_]+\b"
)


class _Input(str):
    """What ``!input name`` stands for in a blueprint."""

    __slots__ = ()


class _Loader(yaml.SafeLoader):
    """Home Assistant's YAML, as far as the examples use it."""


_Loader.add_constructor("!input", lambda loader, node: _Input(loader.construct_scalar(node)))  # type: ignore[arg-type]


def read(file: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """A YAML file's document."""
    return yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader's child


def automations() -> list[dict[str, Any]]:
    """All example automations."""
    return [entry for file in sorted(HOME_ASSISTANT.glob("automations/*.yaml")) for entry in read(file)]


def living_room_info() -> AgentInfo:
    """What an agent of that site says of itself."""
    return some_info().model_copy(update={"site": SITE, "labels": tuple(Emotion)})


def discovery() -> dict[str, Any]:
    """Its discovery message."""
    payload = Discovery(TOPICS, "homeassistant", "en").message(living_room_info()).payload
    message: dict[str, Any] = json.loads(payload)
    return message


def entity_ids() -> dict[str, dict[str, Any]]:
    """Its components by the entity ids that Home Assistant gives them."""
    message = discovery()
    device = message["device"]["name"]
    return {
        f"{component['platform']}.{_slug(device, component['name'])}": component
        for component in message["components"].values()
    }


def _slug(device: str, name: str | None) -> str:
    words = device if name is None else f"{device} {name}"
    return words.lower().replace(" ", "_")


def nodes(document: Any, key: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - plain YAML data
    """Every value of a document that is neither list nor mapping, with the key that it stands under."""
    if isinstance(document, dict):
        for inner, value in document.items():
            yield from nodes(value, str(inner))
    elif isinstance(document, list):
        for value in document:
            yield from nodes(value, key)
    else:
        yield key, document


def entities_named_in(document: Any) -> set[str]:  # noqa: ANN401 - plain YAML data
    """The entities that a document names, in templates too; actions such as ``light.turn_on`` are none."""
    texts = [value for key, value in nodes(document) if key != "action" and isinstance(value, str)]
    return {match for text in texts for match in _ENTITY.findall(text)}


def inputs_used_in(document: Any) -> set[str]:  # noqa: ANN401 - plain YAML data
    """The blueprint's inputs that a document refers to."""
    return {str(value) for _, value in nodes(document) if isinstance(value, _Input)}
