"""Payloads and their schemas."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING

from jsonschema import Draft202012Validator

from ser_agent.schemas import schemas

if TYPE_CHECKING:
    from support.mqtt import Heard

BARE = {"availability", "switch"}
"""Kinds whose payload is text rather than JSON."""


def refusals(kind: str, payload: object) -> list[str]:
    """What is wrong with a payload of a kind, which is plain data already."""
    return [f"{error.json_path}: {error.message}" for error in _validator(kind).iter_errors(payload)]


@cache
def _validator(kind: str) -> Draft202012Validator:
    schema = next(schema for schema in schemas() if schema.name == kind)
    return Draft202012Validator(schema.document)


def kind_of(topic: str) -> str:
    """The kind of the payloads on a topic."""
    for schema in schemas():
        for pattern in schema.topics:
            if re.fullmatch(re.sub(r"<\w+>", "[^/]+", pattern), topic):
                return schema.name
    raise AssertionError(f"no schema is for the topic {topic}")


def refused(heard: Heard) -> list[str]:
    """What is wrong with a message as the broker delivered it."""
    kind = kind_of(heard.topic)
    payload: object = heard.payload if kind in BARE else json.loads(heard.payload)
    return [f"{heard.topic}: {refusal}" for refusal in refusals(kind, payload)]
