"""What people read: names of emotions and entities by language, and emoji. What goes over the wire stays."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias, get_args

import yaml

from ser_agent.labels import EMOJI

Language: TypeAlias = Literal["de", "en", "es", "fr", "hi", "it", "pl"]
"""A language that there are names in (ISO 639-1)."""
EntityKey: TypeAlias = Literal[
    "emotion",
    "emotion_event",
    "confidence",
    "speech",
    "microphone",
    "listening",
    "threshold",
    "restart",
    "mood",
    "latency",
    "utterances",
]
"""An entity that the agent has in Home Assistant."""

LANGUAGES: tuple[Language, ...] = get_args(Language)
NO_EMOTION_EMOJI = "💤"
OTHER_EMOJI = "🗣"
"""Stands for a label that is not of the vocabulary."""


def friendly(label: str, language: Language) -> str:
    """The name of an emotion.

    Args:
        label: a label of the vocabulary, ``uncertain`` or ``none``.
        language: the language.

    Returns:
        The name; a label that is none of these, such as a model's own, as it is.
    """
    return _names()[language]["emotions"].get(label, label)


def emoji(label: str) -> str:
    """The emoji of an emotion, of ``uncertain`` and of ``none``; a talking head for any other label."""
    return NO_EMOTION_EMOJI if label == "none" else EMOJI.get(label, OTHER_EMOJI)


def entity_name(key: EntityKey, language: Language) -> str:
    """The name of an entity in Home Assistant."""
    return _names()[language]["entities"][key]


@cache
def _names() -> dict[Language, dict[str, dict[str, str]]]:
    text = files("ser_agent").joinpath("translations.yaml").read_text(encoding="utf-8")
    names: dict[Language, dict[str, dict[str, str]]] = yaml.safe_load(text)
    return names
