"""The bill of materials: what CycloneDX asks for is there, and nothing is missing or invented."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from packageurl import PackageURL

SCRIPT = Path(__file__).parents[2] / "scripts" / "sbom.py"
TEXT = {"type": "string", "minLength": 1}
REF = {"type": "string", "minLength": 1}
COMPONENT = {
    "type": "object",
    "required": ["type", "name", "version", "bom-ref"],
    "properties": {
        "type": {"enum": ["application", "library", "machine-learning-model"]},
        "name": TEXT,
        "version": TEXT,
        "bom-ref": REF,
        "purl": {"type": "string", "pattern": "^pkg:pypi/"},
        "scope": {"enum": ["required", "optional", "excluded"]},
        "description": TEXT,
        "licenses": {
            "type": "array",
            "minItems": 1,
            "items": {
                "oneOf": [
                    {
                        "required": ["expression"],
                        "properties": {"expression": TEXT},
                        "additionalProperties": False,
                    },
                    {
                        "required": ["license"],
                        "properties": {"license": {"required": ["name"], "properties": {"name": TEXT}}},
                        "additionalProperties": False,
                    },
                ]
            },
        },
        "hashes": {
            "type": "array",
            "items": {
                "required": ["alg", "content"],
                "properties": {"alg": {"const": "SHA-256"}, "content": {"pattern": "^[0-9a-f]{64}$"}},
            },
        },
    },
    "additionalProperties": False,
}
BILL = {
    "type": "object",
    "required": ["bomFormat", "specVersion", "version", "metadata", "components", "dependencies"],
    "properties": {
        "$schema": {"const": "http://cyclonedx.org/schema/bom-1.5.schema.json"},
        "bomFormat": {"const": "CycloneDX"},
        "specVersion": {"const": "1.5"},
        "serialNumber": {"pattern": "^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
        "version": {"const": 1},
        "metadata": {
            "required": ["timestamp", "component"],
            "properties": {
                "timestamp": {"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
                "component": COMPONENT,
            },
        },
        "components": {"type": "array", "items": COMPONENT},
        "dependencies": {
            "type": "array",
            "items": {
                "required": ["ref"],
                "properties": {"ref": REF, "dependsOn": {"type": "array", "uniqueItems": True, "items": REF}},
            },
        },
    },
    "additionalProperties": False,
}


def made(folder: Path) -> dict[str, Any]:
    file = folder / "bill.json"
    subprocess.run([sys.executable, SCRIPT, file], env={"SOURCE_DATE_EPOCH": "1764222000"}, check=True)
    bill: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return bill


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return made(tmp_path_factory.mktemp("bill"))


def test_it_has_what_cyclonedx_asks_for(bill: dict[str, Any]) -> None:
    assert not [error.message for error in Draft7Validator(BILL).iter_errors(bill)]
    for component in bill["components"]:
        if "purl" in component:
            url = PackageURL.from_string(component["purl"])
            assert url.version == component["version"]


def test_every_reference_leads_somewhere_and_is_unique(bill: dict[str, Any]) -> None:
    refs = [component["bom-ref"] for component in [*bill["components"], bill["metadata"]["component"]]]
    assert len(refs) == len(set(refs))
    told = [entry["ref"] for entry in bill["dependencies"]]
    assert sorted(told) == sorted(refs)
    assert {needed for entry in bill["dependencies"] for needed in entry["dependsOn"]} <= set(refs)


def test_it_tells_what_is_installed_and_what_of_that_can_be_left_out(bill: dict[str, Any]) -> None:
    components = {component["name"]: component for component in bill["components"]}
    assert components["paho-mqtt"]["version"] == metadata.version("paho-mqtt")
    assert components["paho-mqtt"]["scope"] == "required"
    assert components["annotated-types"]["scope"] == "required"  # needed by pydantic
    if "torch" in components:
        assert components["torch"]["scope"] == "optional"
    assert "pytest" not in components
    assert bill["metadata"]["component"]["name"] == "ser-agent"
    assert components["ser-agent-embedded-model"]["type"] == "machine-learning-model"


def test_the_same_installation_gives_the_same_bill(bill: dict[str, Any], tmp_path: Path) -> None:
    assert made(tmp_path) == bill
