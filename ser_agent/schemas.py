"""JSON Schema of every payload. ``python -m ser_agent.schemas FOLDER`` writes a file for each.

Each has a version of its own. A field that is added raises the second number, anything else the first: whoever
reads payloads by a schema can read all that have the same first number.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ser_agent.discovery_schema import DISCOVERY
from ser_agent.messages import AgentInfo, AgentStats, EmotionEvent, PartialEmotion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ser_agent.messages import Message

Json: TypeAlias = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
MOMENT: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
"""UTC to the millisecond, ISO 8601."""
_SCORE: Final[Json] = {"type": "number", "minimum": 0, "maximum": 1}
_SCORE_OR_NULL: Final[Json] = {**_SCORE, "type": ["number", "null"]}
_TEXT_OR_NULL: Final[Json] = {"type": ["string", "null"]}
_TRANSACTION: Final[Json] = {"type": ["string", "integer", "null"]}


@dataclass(frozen=True, slots=True)
class Schema:
    """The schema of one kind of payload.

    Attributes:
        name: of the kind.
        version: two numbers.
        topics: where such payloads are.
        body: what a payload is.
    """

    name: str
    version: str
    topics: tuple[str, ...]
    body: Json

    @property
    def file_name(self) -> str:
        """Name of the file that it is published in."""
        return f"{self.name}-{self.version}.json"

    @property
    def document(self) -> Json:
        """The whole JSON Schema."""
        head = {"$schema": DIALECT, "$id": f"urn:ser-agent:schema:{self.name}:{self.version}"}
        return {**head, "title": f"{self.name} {self.version}: {', '.join(self.topics)}", **self.body}


def schemas() -> tuple[Schema, ...]:
    """The schemas of today."""
    site = "ser-agent/<site>/"
    return (
        Schema("availability", "1.0", (site + "availability",), _words("online", "offline")),
        Schema("event", "1.1", (site + "event",), _event()),
        Schema("partial", "1.0", (site + "partial",), _partial()),
        Schema("emotion", "1.0", (site + "emotion",), _emotion()),
        Schema("mood", "1.0", (site + "mood",), _mood()),
        Schema(
            "switch",
            "1.0",
            tuple(site + tail for tail in ("speech", "microphone", "listen/state", "listen/set")),
            _words("ON", "OFF"),
        ),
        Schema("threshold", "1.0", (site + "threshold/state", site + "threshold/set"), _SCORE),
        Schema("info", "1.2", (site + "info",), _of_model(AgentInfo)),
        Schema("stats", "1.2", (site + "stats",), _of_model(AgentStats)),
        Schema("request", "1.0", (site + "request/<command>",), _request()),
        Schema("response", "1.0", (site + "response/<command>",), _response()),
        Schema("discovery", "1.1", ("homeassistant/device/<id>/config",), DISCOVERY),
    )


def _words(*words: str) -> Json:
    return {"description": "Bare text, not JSON.", "enum": list(words)}


def _event() -> Json:
    body = _of_model(EmotionEvent)
    body["properties"]["started_at"] |= {"format": "date-time", "pattern": MOMENT}
    body["properties"]["event_type"] = {"description": "The emotion once more.", "type": "string"}
    body["required"].append("event_type")
    return body


def _partial() -> Json:
    body = _of_model(PartialEmotion)
    body["properties"]["started_at"] |= {"format": "date-time", "pattern": MOMENT}
    return body


def _emotion() -> Json:
    return _fields(
        "The emotion of now and its two runners-up; none and nulls some time after the last speech.",
        emotion={"type": "string"},
        confidence=_SCORE_OR_NULL,
        second=_TEXT_OR_NULL,
        second_confidence=_SCORE_OR_NULL,
        third=_TEXT_OR_NULL,
        third_confidence=_SCORE_OR_NULL,
    )


def _mood() -> Json:
    return _fields(
        "The emotion that prevailed over the last minutes, and its share; none and null for want of speech.",
        mood={"type": "string"},
        share=_SCORE_OR_NULL,
    )


def _request() -> Json:
    limits = {"maxLength": 64, "minimum": -(2**53) + 1, "maximum": 2**53 - 1}
    body = _fields("May also be empty. The response repeats the transaction.", transaction=_TRANSACTION | limits)
    return {**body, "required": [], "additionalProperties": False}


def _response() -> Json:
    return _fields(
        "What came of a request.",
        data={"type": "object"},
        status={"enum": ["ok", "error"]},
        error=_TEXT_OR_NULL,
        transaction=_TRANSACTION,
    )


def _fields(description: str, **properties: Json) -> Json:
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _of_model(model: type[Message]) -> Json:
    schema: Json = _for_readers(model.model_json_schema(mode="serialization"))
    return schema


def _for_readers(node: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Of what the model may hold, what its readers may rely on: every field is there, more may come."""
    if isinstance(node, list):
        return [_for_readers(part) for part in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if key not in {"title", "default"}}
    if "properties" in kept:
        kept["required"] = list(kept["properties"])
        del kept["additionalProperties"]
    for key, value in kept.items():
        named = key in {"properties", "$defs"}
        kept[key] = {name: _for_readers(part) for name, part in value.items()} if named else _for_readers(value)
    return kept


def main(arguments: Sequence[str] | None = None) -> None:
    """Write all schemas into a folder; those of earlier versions stay."""
    parser = argparse.ArgumentParser(
        prog="python -m ser_agent.schemas", description="Write all payloads' schemas."
    )
    parser.add_argument("folder", type=Path, help="where; made if it is not there")
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for schema in schemas():
        text = json.dumps(schema.document, indent=2, ensure_ascii=False) + "\n"
        (folder / schema.file_name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
