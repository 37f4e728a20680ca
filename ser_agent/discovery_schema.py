"""JSON Schema of Home Assistant's device discovery, as far as the agent uses it.

Home Assistant passes over keys that it does not know without a word, so this schema is closed: only what its
documentation has is in it, and where two keys exclude each other, it says so.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Json: TypeAlias = dict[str, Any]

_TEXT: Final[Json] = {"type": "string", "minLength": 1}
_FLAG: Final[Json] = {"type": "boolean"}
_NUMBER: Final[Json] = {"type": "number"}
_TEXTS: Final[Json] = {"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True}
_TOPIC: Final[Json] = {"type": "string", "pattern": r"^[^+#/][^+#]*$"}
_QOS: Final[Json] = {"enum": [0, 1]}
_ANY_CATEGORY: Final[Json] = {"enum": ["config", "diagnostic"]}
_OF_SENSORS: Final[Json] = {"const": "diagnostic"}

_AVAILABILITY: Final[Json] = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "topic": _TOPIC,
            "payload_available": _TEXT,
            "payload_not_available": _TEXT,
            "value_template": _TEXT,
        },
        "required": ["topic"],
        "additionalProperties": False,
    },
}
_EVERYWHERE: Final[Json] = {
    "unique_id": {"type": "string", "pattern": "^[a-zA-Z0-9_-]+$"},
    "name": {
        "description": "null for the main entity, which is called as its device.",
        "type": ["string", "null"],
    },
    "icon": {"type": "string", "pattern": "^mdi:"},
    "enabled_by_default": _FLAG,
    "entity_category": _ANY_CATEGORY,
    "availability": _AVAILABILITY,
    "availability_mode": {"enum": ["all", "any", "latest"]},
    "qos": _QOS,
}


def _component(platform: str, required: Json, optional: Json) -> Json:
    """One kind of component: what it must have, and what it may have besides."""
    return {
        "properties": {"platform": {"const": platform}, **_EVERYWHERE, **optional, **required},
        "required": ["platform", "unique_id", *required],
        "additionalProperties": False,
    }


_SENSOR: Final[Json] = {
    **_component(
        "sensor",
        {"state_topic": _TOPIC},
        {
            "entity_category": _OF_SENSORS,
            "value_template": _TEXT,
            "device_class": _TEXT,
            "options": _TEXTS,
            "unit_of_measurement": _TEXT,
            "state_class": {"enum": ["measurement", "total", "total_increasing"]},
            "suggested_display_precision": {"type": "integer", "minimum": 0},
        },
    ),
    "if": {"properties": {"device_class": {"const": "enum"}}, "required": ["device_class"]},
    "then": {
        "required": ["options"],
        "not": {"anyOf": [{"required": ["state_class"]}, {"required": ["unit_of_measurement"]}]},
    },
    "else": {"not": {"required": ["options"]}},
}
_EVENT: Final[Json] = _component(
    "event", {"state_topic": _TOPIC, "event_types": _TEXTS}, {"device_class": _TEXT, "value_template": _TEXT}
)
_BINARY_SENSOR: Final[Json] = _component(
    "binary_sensor",
    {"state_topic": _TOPIC},
    {
        "entity_category": _OF_SENSORS,
        "device_class": _TEXT,
        "value_template": _TEXT,
        "payload_on": _TEXT,
        "payload_off": _TEXT,
    },
)
_SWITCH: Final[Json] = _component(
    "switch",
    {"state_topic": _TOPIC, "command_topic": _TOPIC},
    {
        "payload_on": _TEXT,
        "payload_off": _TEXT,
        "state_on": _TEXT,
        "state_off": _TEXT,
        "device_class": _TEXT,
        "optimistic": _FLAG,
        "retain": {"const": False},
    },
)
_NUMBER_BOX: Final[Json] = _component(
    "number",
    {"state_topic": _TOPIC, "command_topic": _TOPIC, "min": _NUMBER, "max": _NUMBER, "step": _NUMBER},
    {
        "mode": {"enum": ["auto", "box", "slider"]},
        "value_template": _TEXT,
        "command_template": _TEXT,
        "unit_of_measurement": _TEXT,
        "device_class": _TEXT,
        "optimistic": _FLAG,
        "retain": {"const": False},
    },
)
_BUTTON: Final[Json] = _component(
    "button",
    {"command_topic": _TOPIC},
    {
        "payload_press": {"type": "string"},
        "command_template": _TEXT,
        "device_class": _TEXT,
        "retain": {"const": False},
    },
)

DISCOVERY: Final[Json] = {
    "description": "The device and its entities, for Home Assistant; an empty payload removes them.",
    "type": "object",
    "properties": {
        "device": {
            "type": "object",
            "properties": {
                "identifiers": _TEXTS,
                "name": _TEXT,
                "manufacturer": _TEXT,
                "model": _TEXT,
                "model_id": _TEXT,
                "sw_version": _TEXT,
                "hw_version": _TEXT,
                "serial_number": _TEXT,
                "suggested_area": _TEXT,
                "configuration_url": _TEXT,
                "via_device": _TEXT,
            },
            "required": ["identifiers", "name"],
            "additionalProperties": False,
        },
        "origin": {
            "type": "object",
            "properties": {"name": _TEXT, "sw_version": _TEXT, "support_url": _TEXT},
            "required": ["name"],
            "additionalProperties": False,
        },
        "components": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-zA-Z0-9_-]+$"},
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "oneOf": [_SENSOR, _EVENT, _BINARY_SENSOR, _SWITCH, _NUMBER_BOX, _BUTTON],
            },
        },
        "availability": _AVAILABILITY,
        "availability_mode": {"enum": ["all", "any", "latest"]},
        "qos": _QOS,
    },
    "required": ["device", "origin", "components"],
    "additionalProperties": False,
}
"""What is retained on ``<discovery prefix>/device/<id>/config``."""
