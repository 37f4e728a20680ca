"""The payloads are an API: what is published of them stays as it is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.schemas import refusals

from ser_agent import schemas as module
from ser_agent.messages import SCHEMA
from ser_agent.schemas import Schema, schemas
from ser_agent.sinks.mqtt_commands import BadCommand, interpret

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "docs" / "schemas"
FROZEN = ROOT / "tests" / "golden" / "schema_digests.json"
SCHEMAS = pytest.mark.parametrize("schema", schemas(), ids=lambda schema: schema.name)
REGENERATE = "run `python -m ser_agent.schemas docs/schemas`"


def meaning(node: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """A schema without what only people read."""
    if isinstance(node, list):
        return [meaning(part) for part in node]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: meaning(part) for name, part in value.items()} if key == "properties" else meaning(value)
        for key, value in node.items()
        if key not in {"title", "description"}
    }


def digest(document: dict[str, Any]) -> str:
    text = json.dumps(meaning(document), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def frozen() -> dict[str, dict[str, str]]:
    digests: dict[str, dict[str, str]] = json.loads(FROZEN.read_text(encoding="utf-8"))
    return digests


@SCHEMAS
def test_a_payload_does_not_change_without_another_version(schema: Schema) -> None:
    known = frozen().get(schema.name, {})
    now = digest(schema.document)
    assert known.get(schema.version) == now, (
        f"The payload {schema.name!r} is not what its schema {schema.version} says, on which subscribers rely.\n"
        "In ser_agent/schemas.py, raise its version's second number if fields were only added, else the first;\n"
        "then also SCHEMA in ser_agent/messages.py, if it is the event's, and tell subscribers in CHANGELOG.md.\n"
        f"Then {REGENERATE}, and add to {FROZEN.relative_to(ROOT)}, under {schema.name!r} and the\n"
        "new version, the digest that this test will then show. Never change or remove one that is there.\n"
        f"digest of what {schema.name!r} {schema.version} is now: {now}"
    )


def test_the_events_own_number_is_the_first_of_its_schemas_version() -> None:
    version = next(schema.version for schema in schemas() if schema.name == "event")
    assert version.split(".")[0] == str(SCHEMA)


@SCHEMAS
def test_the_published_file_is_that_of_today(schema: Schema) -> None:
    document = json.loads((PUBLISHED / schema.file_name).read_text(encoding="utf-8"))
    assert document == schema.document, REGENERATE


@SCHEMAS
def test_the_list_has_it_with_its_topics(schema: Schema) -> None:
    listed = (PUBLISHED / "README.md").read_text(encoding="utf-8")
    topics = ", ".join(f"`{topic}`" for topic in schema.topics)
    assert f"| [`{schema.file_name}`]({schema.file_name}) | {topics} |" in listed


def test_every_version_ever_frozen_is_still_published_unchanged() -> None:
    for name, versions in frozen().items():
        for version, known in versions.items():
            document = json.loads((PUBLISHED / f"{name}-{version}.json").read_text(encoding="utf-8"))
            assert digest(document) == known, f"{name}-{version}.json was changed after it had been published"
    named = {f"{name}-{version}.json" for name, versions in frozen().items() for version in versions}
    assert {file.name for file in PUBLISHED.glob("*.json")} == named


def test_words_for_people_may_change_and_nothing_else_may() -> None:
    one: dict[str, Any] = {"description": "a", "properties": {"title": {"type": "string", "description": "b"}}}
    reworded = {"description": "c", "properties": {"title": {"type": "string"}}}
    assert digest(one) == digest(reworded)
    assert digest(one) != digest({"properties": {"title": {"type": "integer"}}})
    assert digest(one) != digest({"properties": {}}), "a property may be called as a word for people"


@SCHEMAS
def test_each_is_a_schema_of_its_dialect(schema: Schema) -> None:
    Draft202012Validator.check_schema(schema.document)
    assert schema.document["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_the_program_writes_them_and_leaves_older_ones(tmp_path: Path) -> None:
    old = tmp_path / "new" / "event-0.9.json"
    old.parent.mkdir()
    old.write_text("{}")
    module.main([str(old.parent)])
    assert {file.name for file in old.parent.iterdir()} == {old.name, *(schema.file_name for schema in schemas())}


AN_EVENT = {
    "schema": 1,
    "id": "01KAV0Z6T4V1M7Y5W6N8Q2R3S4",
    "agent": "living-room",
    "started_at": "2026-11-24T08:30:12.480Z",
    "offset_s": 3120.3,
    "duration_s": 2.31,
    "emotion": "sad",
    "confidence": 0.81,
    "emotions": [{"label": "sad", "score": 0.81}],
    "end_reason": "silence",
    "level_dbfs": -23.1,
    "source": "microphone",
    "model": "embedded@1",
    "latency_ms": 141,
    "session_id": None,
    "event_type": "sad",
}


def test_an_event_of_the_readme_is_one_and_so_is_one_with_a_field_of_times_to_come() -> None:
    assert refusals("event", AN_EVENT) == []
    assert refusals("event", AN_EVENT | {"speaker": 2}) == []


@pytest.mark.parametrize("field", AN_EVENT)
def test_without_any_of_its_fields_an_event_is_none(field: str) -> None:
    assert refusals("event", {key: value for key, value in AN_EVENT.items() if key != field})


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("event", AN_EVENT | {"confidence": 1.2}),
        ("event", AN_EVENT | {"started_at": "yesterday"}),
        ("event", AN_EVENT | {"schema": 2}),
        ("event", AN_EVENT | {"emotions": [{"label": "sad"}]}),
        ("emotion", {"emotion": "sad"}),
        ("availability", "ONLINE"),
        ("switch", "on"),
        ("threshold", 1.01),
        ("threshold", "0.5"),
        ("request", {"transaction": [1]}),
        ("response", {"data": {}, "status": "fine", "error": None, "transaction": None}),
    ],
)
def test_what_is_no_payload_of_the_kind_is_refused(kind: str, payload: object) -> None:
    assert refusals(kind, payload)


@pytest.mark.parametrize(
    "payload",
    [
        "{}",
        '{"transaction":"a"}',
        '{"transaction":null}',
        f'{{"transaction":{2**53 - 1}}}',
        f'{{"transaction":{2**53}}}',
        '{"transaction":1.5}',
        '{"transaction":true}',
        json.dumps({"transaction": "a" * 64}),
        json.dumps({"transaction": "a" * 65}),
        '{"data":{}}',
        "[]",
        '"restart"',
    ],
)
def test_the_agent_takes_the_requests_that_the_schema_has_and_no_others(payload: str) -> None:
    try:
        interpret("request/health_check", payload.encode())
    except BadCommand:
        taken = False
    else:
        taken = True
    assert taken == (refusals("request", json.loads(payload)) == [])
