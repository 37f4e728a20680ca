from __future__ import annotations

import unicodedata
from importlib.resources import files
from typing import TYPE_CHECKING, get_args

import pytest
import yaml

from ser_agent.labels import UNCERTAIN, Emotion
from ser_agent.sinks.mqtt_topics import NO_EMOTION
from ser_agent.translations import LANGUAGES, OTHER_EMOJI, EntityKey, emoji, entity_name, friendly

if TYPE_CHECKING:
    from ser_agent.translations import Language

LABELS = (*Emotion, UNCERTAIN, NO_EMOTION)
ENTITIES: tuple[EntityKey, ...] = get_args(EntityKey)


def test_there_are_the_languages_that_the_type_promises_and_each_has_every_key() -> None:
    names = yaml.safe_load(files("ser_agent").joinpath("translations.yaml").read_text(encoding="utf-8"))
    assert sorted(names) == sorted(LANGUAGES)
    for language, groups in names.items():
        assert set(groups) == {"emotions", "entities"}, language
        assert set(groups["emotions"]) == set(LABELS), language
        assert set(groups["entities"]) == set(ENTITIES), language


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_two_emotions_and_no_two_entities_have_the_same_name(language: Language) -> None:
    emotions = [friendly(label, language).casefold() for label in LABELS]
    entities = [entity_name(key, language).casefold() for key in ENTITIES]
    assert len(set(emotions)) == len(emotions)
    assert len(set(entities)) == len(entities)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_name_is_a_composed_text_without_stray_blanks_that_begins_as_a_name_does(language: Language) -> None:
    for name in [
        *(friendly(label, language) for label in LABELS),
        *(entity_name(key, language) for key in ENTITIES),
    ]:
        assert isinstance(name, str), f"YAML reads {name!r} as something else"
        assert name == " ".join(name.split()), name
        assert unicodedata.is_normalized("NFC", name), name
        assert name[0] == name[0].upper(), name
        assert not any(unicodedata.category(character) in {"Cc", "Cf", "So"} for character in name), name


@pytest.mark.parametrize("label", LABELS)
def test_an_emoji_is_a_single_character_of_its_own(label: str) -> None:
    assert len(emoji(label)) == 1, "several code points are drawn as several on some terminals"
    assert unicodedata.category(emoji(label)) == "So"
    assert [other for other in LABELS if emoji(other) == emoji(label)] == [label]


def test_a_name_is_of_the_language() -> None:
    assert [friendly("sad", language) for language in LANGUAGES] == [
        "Trauer",
        "Sad",
        "Tristeza",
        "Tristesse",
        "दुख",
        "Tristezza",
        "Smutek",
    ]
    assert entity_name("restart", "pl") == "Uruchom ponownie"


def test_in_english_a_name_is_the_label_itself() -> None:
    assert [friendly(label, "en").lower() for label in LABELS] == list(LABELS)


def test_a_label_of_the_models_own_is_kept_and_has_a_talking_head() -> None:
    assert friendly("frustrated", "de") == "frustrated"
    assert emoji("frustrated") == OTHER_EMOJI
