"""Strict reading of JSON that comes from elsewhere: whatever it is, it is right or a ``WireError``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from ser_agent.errors import SerAgentError

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

VERSION: Final = 1
LONGEST_JSON: Final = 65_536
LONGEST_TEXT: Final = 200
MOST_ITEMS: Final = 256
SCORE_TOLERANCE: Final = 1e-3


class WireError(SerAgentError):
    """What came over the broker isn't what the contract says: the message says what is wrong with it."""


def fields_of(payload: bytes) -> dict[str, Any]:
    """The fields of a JSON object of this version of the contract.

    Raises:
        WireError: it is none.
    """
    if len(payload) > LONGEST_JSON:
        raise WireError(f"{len(payload)} bytes are too many")
    try:
        fields = json.loads(payload.decode())
    except (ValueError, RecursionError) as error:
        raise WireError("it is no JSON") from error
    if not isinstance(fields, dict):
        raise WireError("it is no JSON object")
    version = fields.get("version")
    if isinstance(version, bool) or version != VERSION:
        raise WireError(f"'version' is not {VERSION}")
    return fields


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_text(value: object) -> TypeGuard[str]:
    """Whether a value is a line of text that is not too long."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT and value.isprintable()


def text(fields: Mapping[str, Any], key: str) -> str:
    """A line of text.

    Raises:
        WireError: it is none.
    """
    value = fields.get(key)
    if not is_text(value):
        raise WireError(f"{key!r} is no line of text of at most {LONGEST_TEXT} characters")
    return value


def matching(fields: Mapping[str, Any], key: str, pattern: re.Pattern[str]) -> str:
    """A text of a certain form.

    Raises:
        WireError: it is none.
    """
    value = fields.get(key)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise WireError(f"{key!r} is not of the form that it has to have")
    return value


def texts(fields: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of lines of text, none of them twice.

    Raises:
        WireError: it is none.
    """
    values = fields.get(key)
    if not isinstance(values, list) or len(values) > MOST_ITEMS or not all(map(is_text, values)):
        raise WireError(f"{key!r} is no list of at most {MOST_ITEMS} texts")
    if len(set(values)) != len(values):
        raise WireError(f"{key!r} holds the same twice")
    return tuple(values)


def scores(value: object) -> dict[str, float]:
    """A distribution.

    Raises:
        WireError: it is none.
    """
    if not isinstance(value, dict) or not 0 < len(value) <= MOST_ITEMS or not all(map(is_text, value)):
        raise WireError("'scores' is no object of labels")
    if not all(is_number(score) and 0.0 <= score <= 1.0 + SCORE_TOLERANCE for score in value.values()):
        raise WireError("'scores' holds what is no probability")
    distribution = {label: float(score) for label, score in value.items()}
    if abs(sum(distribution.values()) - 1.0) > SCORE_TOLERANCE:
        raise WireError("'scores' do not sum to 1")
    return distribution
