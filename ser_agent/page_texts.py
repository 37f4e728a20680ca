"""What the pages say, in English and German, with the emotions' names and emoji."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import yaml

from ser_agent.labels import UNCERTAIN, Emotion
from ser_agent.translations import emoji, friendly

if TYPE_CHECKING:
    from collections.abc import Mapping

PageLanguage: TypeAlias = Literal["en", "de"]
PAGE_LANGUAGES: Final[tuple[PageLanguage, ...]] = get_args(PageLanguage)
LABELS: Final = (*Emotion, UNCERTAIN, "none")


@cache
def texts(language: PageLanguage) -> Mapping[str, str]:
    """All texts of the pages, by key."""
    return _all_texts()[language]


@cache
def _all_texts() -> dict[PageLanguage, dict[str, str]]:
    text = files("ser_agent").joinpath("page_texts.yaml").read_text(encoding="utf-8")
    both: dict[PageLanguage, dict[str, str]] = yaml.safe_load(text)
    return both


def for_browser() -> dict[str, Any]:
    """Texts, names of emotions and emoji, as the live page's script wants them."""
    return {
        "languages": {
            language: {
                "texts": dict(texts(language)),
                "emotions": {str(label): friendly(label, language) for label in LABELS},
            }
            for language in PAGE_LANGUAGES
        },
        "emoji": {str(label): emoji(label) for label in LABELS},
    }
