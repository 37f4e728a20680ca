"""The discovery message against the keys that Home Assistant knows, and against its rules.

Home Assistant passes over a key that it does not know without a word: a typing error would never be noticed there.
Where a Home Assistant is installed (``HASS``), its own schemas judge as well.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.events import some_info

from ser_agent.sinks.homeassistant import Discovery
from ser_agent.sinks.mqtt_topics import Topics
from ser_agent.translations import LANGUAGES, Language

DATA = Path(__file__).parents[1] / "data"
KEYS = json.loads((DATA / "home_assistant_keys.json").read_text(encoding="utf-8"))["keys"]


def message(language: Language = "en", labels: tuple[str, ...] = ("angry", "happy")) -> dict[str, Any]:
    info = some_info().model_copy(update={"site": "living-room", "labels": labels})
    publication = Discovery(Topics("ser-agent", "living-room"), "homeassistant", language).message(info)
    assert (publication.qos, publication.retain) == (1, True)
    assert publication.topic == "homeassistant/device/ser-agent-living-room/config"
    fields: dict[str, Any] = json.loads(publication.payload)
    return fields


COMPONENTS = message()["components"]


def test_every_key_is_one_that_home_assistant_knows_and_none_is_missing() -> None:
    fields = message()
    for name, part in (("device_discovery", fields), ("device", fields["device"]), ("origin", fields["origin"])):
        check(name, part)
    (availability,) = fields["availability"]
    assert set(availability) == {"topic", "payload_available", "payload_not_available"}


@pytest.mark.parametrize("key", COMPONENTS)
def test_every_key_of_a_component_is_one_that_home_assistant_knows_and_none_is_missing(key: str) -> None:
    component = {**COMPONENTS[key]}
    platform = component.pop("platform")
    check(platform, component)
    assert set(component) - {"unique_id", "name", "qos"}, "a component needs at least one more option"


def check(schema: str, part: dict[str, Any]) -> None:
    known = KEYS[schema]
    assert set(part) <= set(known), f"{schema} knows none of {set(part) - set(known)}"
    needed = {key for key, required in known.items() if required}
    assert needed <= set(part), f"{schema} needs {needed - set(part)}"


def test_the_entities_are_those_that_were_agreed_on() -> None:
    shown = {
        key: (
            component["platform"],
            component.get("device_class"),
            component.get("entity_category"),
            component.get("enabled_by_default", True),
        )
        for key, component in COMPONENTS.items()
    }
    assert shown == {
        "emotion": ("sensor", "enum", None, True),
        "emotion_event": ("event", None, None, True),
        "confidence": ("sensor", None, None, True),
        "mood": ("sensor", "enum", None, False),
        "speech": ("binary_sensor", "sound", None, True),
        "microphone": ("binary_sensor", "connectivity", "diagnostic", True),
        "listening": ("switch", None, None, True),
        "threshold": ("number", None, "config", True),
        "restart": ("button", "restart", "config", True),
        "latency": ("sensor", "duration", "diagnostic", False),
        "utterances": ("sensor", None, "diagnostic", False),
    }


def test_an_enum_has_options_and_neither_unit_nor_state_class() -> None:
    enums = [component for component in COMPONENTS.values() if component.get("device_class") == "enum"]
    assert len(enums) == 2
    for component in enums:
        assert component["options"]
        assert len(set(component["options"])) == len(component["options"])
        assert not {"state_class", "unit_of_measurement"} & set(component)


def test_options_and_event_types_are_the_model_s_labels_and_what_stands_for_none_of_them() -> None:
    components = message(labels=("joy", "uncertain", "none"))["components"]
    assert components["emotion"]["options"] == ["joy", "uncertain", "none"]
    assert components["emotion_event"]["event_types"] == ["joy", "uncertain", "none"]
    assert COMPONENTS["emotion"]["options"] == ["angry", "happy", "uncertain", "none"]
    assert COMPONENTS["emotion_event"]["event_types"] == ["angry", "happy", "uncertain"]
    assert COMPONENTS["mood"]["options"] == ["angry", "happy", "none"]


def test_the_threshold_has_a_range_of_its_own_instead_of_1_to_100() -> None:
    threshold = COMPONENTS["threshold"]
    assert (threshold["min"], threshold["max"], threshold["step"]) == (0, 1, 0.01)


def test_nothing_is_asked_for_that_home_assistant_gives_up_or_warns_of() -> None:
    for component in COMPONENTS.values():
        for key in ("object_id", "default_entity_id", "expire_after", "json_attributes_topic", "retain"):
            assert key not in component
        if component["platform"] in {"sensor", "binary_sensor"}:
            assert component.get("entity_category") in {None, "diagnostic"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_names_are_there_in_every_language_and_none_repeats_the_device_s(language: Language) -> None:
    fields = message(language)
    names = [component["name"] for component in fields["components"].values()]
    assert len(set(names)) == len(names)
    assert not [name for name in names if name.lower().startswith(fields["device"]["name"].lower())]


@pytest.mark.parametrize(
    ("site", "name"), [("living-room", "Living room"), ("flat_2", "Flat 2"), ("home", "Home"), ("--", "--")]
)
def test_the_device_is_called_as_the_site(site: str, name: str) -> None:
    info = some_info().model_copy(update={"site": site})
    payload = Discovery(Topics("ser-agent", site), "homeassistant", "en").message(info).payload
    assert json.loads(payload)["device"]["name"] == name


@pytest.mark.parametrize(
    ("base_topic", "site"), [("ser-agent", "a"), ("home/voices", "a"), ("hé", "a-b"), ("ser-agent-a", "b")]
)
def test_the_identifier_may_stand_in_the_discovery_topic(base_topic: str, site: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]+", Topics(base_topic, site).agent_id)


def test_no_two_agents_have_the_same_identifier() -> None:
    places = [("ser-agent", "a-b"), ("ser-agent-a", "b"), ("a/b", "c"), ("a-b", "c"), ("ser-agent", "b")]
    assert len({Topics(base, site).agent_id for base, site in places}) == len(places)


JUDGE = """
import asyncio, importlib, json, sys
from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA
from homeassistant.core import HomeAssistant
from homeassistant.helpers import frame

async def judge(fields):
    hass = HomeAssistant(sys.argv[1])
    frame.async_setup(hass)
    DEVICE_DISCOVERY_SCHEMA(fields)
    for component in fields["components"].values():
        platform = importlib.import_module("homeassistant.components.mqtt." + component.pop("platform"))
        shared = {"device": fields["device"], "availability": fields["availability"]}
        platform.DISCOVERY_SCHEMA({**component, **shared})
    await hass.async_stop(force=True)

asyncio.run(judge(json.load(sys.stdin)))
print("valid")
"""


def test_home_assistant_s_own_schemas_find_nothing_wrong(tmp_path: Path) -> None:
    hass = os.environ.get("HASS") or shutil.which("hass")
    if hass is None:
        pytest.skip("hass is not installed, and HASS does not say where it is")
    python = Path(hass).resolve().parent / "python"
    done = subprocess.run(
        [python, "-c", JUDGE, tmp_path], input=json.dumps(message()), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "valid\n"), done.stderr
