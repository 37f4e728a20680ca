"""The recipes of docs/assistants.md are configurations."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ser_agent.config import load

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "assistants.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("number", range(len(blocks("yaml"))))
def test_a_recipe_in_yaml_is_a_configuration(number: int, tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(blocks("yaml")[number], encoding="utf-8")
    assert load(file).config


def test_the_other_ones_are_json() -> None:
    assert len([json.loads(block) for block in blocks("json")]) >= 3


def test_openvoiceoss_recipes_are_understood_by_the_plugins() -> None:
    settings = pytest.importorskip("ser_agent.ovos.settings")
    sections = [json.loads(block) for block in blocks("json")]
    (transformer,) = [found for section in sections if (found := settings.merged(section))]
    assert settings.read(settings.TransformerOptions, transformer, "x").deadline_ms == 150
    (bridge,) = [section["PHAL"][settings.BRIDGE] for section in sections if "PHAL" in section]
    assert settings.read(settings.BridgeOptions, bridge, "x").agent.topic("event") == "ser-agent/+/event"
