"""The examples for Home Assistant speak of entities, inputs and emotions that there are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from support.examples import (
    HOME_ASSISTANT,
    THE_HOUSES_OWN,
    automations,
    discovery,
    entities_named_in,
    entity_ids,
    inputs_used_in,
    read,
)

from ser_agent.labels import UNCERTAIN, Emotion
from ser_agent.translations import emoji, friendly

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(HOME_ASSISTANT.rglob("*.yaml"))
BLUEPRINT = HOME_ASSISTANT / "blueprints" / "automation" / "ser_agent" / "react_to_emotion.yaml"
DASHBOARD = HOME_ASSISTANT / "dashboard.yaml"
KEYS = {
    "alias",
    "description",
    "triggers",
    "conditions",
    "actions",
    "variables",
    "mode",
    "max_exceeded",
}
"""Of an automation, as Home Assistant documents them since 2024.10."""
EVERY_FILE = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


@EVERY_FILE
def test_the_entities_that_it_names_are_the_agents_or_said_to_be_yours(file: Path) -> None:
    named = entities_named_in(read(file))
    assert named <= {*entity_ids(), *THE_HOUSES_OWN}
    text = file.read_text(encoding="utf-8")
    for entity_id in named & THE_HOUSES_OWN:
        assert f"Yours to replace: {entity_id}." in text.replace("\n# ", " ")


@pytest.mark.parametrize("automation", automations(), ids=lambda automation: automation["alias"])
def test_an_automation_has_the_documented_keys_and_names_the_agent(automation: dict[str, Any]) -> None:
    assert {"alias", "triggers", "actions"} <= set(automation) <= KEYS
    assert entities_named_in(automation) - THE_HOUSES_OWN


def test_the_blueprints_inputs_are_all_declared_and_all_used() -> None:
    blueprint = read(BLUEPRINT)
    declared = blueprint["blueprint"]["input"]
    assert inputs_used_in(blueprint) == set(declared)
    assert set(blueprint) - {"blueprint"} <= KEYS
    for name, declaration in declared.items():
        assert declaration["name"], name
        assert len(declaration["selector"]) == 1, name


def test_the_blueprint_offers_every_emotion_by_its_name_and_the_event_entity_has_them() -> None:
    selector = read(BLUEPRINT)["blueprint"]["input"]["emotions"]["selector"]["select"]
    labels = [*Emotion, UNCERTAIN]
    assert selector["options"] == [
        {"value": label, "label": f"{emoji(label)} {friendly(label, 'en')}"} for label in labels
    ]
    event = discovery()["components"]["emotion_event"]
    assert {option["value"] for option in selector["options"]} <= set(event["event_types"])


def test_the_dashboard_has_a_face_for_everything_that_the_sensor_can_say() -> None:
    content = read(DASHBOARD)["views"][0]["cards"][0]["content"]
    faces = dict(re.findall(r"'(\w+)': '([^']+)'", content))
    options = discovery()["components"]["emotion"]["options"]
    assert faces == {label: f"{emoji(label)} {friendly(label, 'en')}" for label in options}


def test_the_card_of_moods_is_on_the_dashboard_too() -> None:
    card = read(HOME_ASSISTANT / "cards" / "mood_history.yaml")
    graphs = [other for other in read(DASHBOARD)["views"][0]["cards"] if other["type"] == card["type"]]
    assert [graph["entities"] for graph in graphs] == [card["entities"]]
