"""What a model's outputs are called."""

from __future__ import annotations

import pytest

from ser_agent.classifiers.metadata import Metadata
from ser_agent.classifiers.naming import model_info, name_labels, own_labels
from ser_agent.errors import ModelError

SUPERB = ("neu", "hap", "ang", "sad")
BARE = ("LABEL_0", "LABEL_1")


def test_known_labels_get_the_vocabularys_words() -> None:
    assert name_labels("m", SUPERB, None, keep=False) == ("neutral", "happy", "angry", "sad")


def test_labels_without_an_alias_stay() -> None:
    assert name_labels("m", ("ang", "frustrated"), None, keep=False) == ("angry", "frustrated")


def test_a_models_own_labels_can_be_kept() -> None:
    assert name_labels("m", SUPERB, None, keep=True) == ("neu", "hap", "ang", "sad")


@pytest.mark.parametrize("keep", [False, True])
def test_the_users_names_win(keep: bool) -> None:  # noqa: FBT001
    names = name_labels("m", SUPERB, {"hap": "cheerful", "2": "cross"}, keep=keep)
    assert names[1:3] == ("cheerful", "cross")


def test_bare_labels_can_be_named_by_index_or_by_label() -> None:
    assert name_labels("m", BARE, {"0": "angry", "LABEL_1": "sad"}, keep=False) == ("angry", "sad")


def test_labels_that_are_numbers_are_named_by_themselves_not_by_index() -> None:
    assert name_labels("m", ("1", "0"), {"0": "angry", "1": "sad"}, keep=False) == ("sad", "angry")


@pytest.mark.parametrize(
    ("labels", "mapping", "words"),
    [
        (BARE, None, ("LABEL_0, LABEL_1 say nothing", "labels: {LABEL_0: …, LABEL_1: …}", "angry, calm")),
        (BARE, {"0": "angry"}, ("LABEL_1 say nothing", "labels: {LABEL_1: …}")),
        (("0", "1"), None, ("0, 1 say nothing",)),
        (("angry", ""), None, ("1 say nothing",)),
        (SUPERB, {"4": "calm"}, ("names 4,", "3 (sad)")),
        (SUPERB, {"angry": "cross"}, ("names angry,", "2 (ang)")),
        (SUPERB, {"2": "angry", "ang": "calm"}, ("twice", "2 and ang")),
    ],
)
def test_what_says_nothing_or_does_not_exist_is_refused(
    labels: tuple[str, ...], mapping: dict[str, str] | None, words: tuple[str, ...]
) -> None:
    with pytest.raises(ModelError) as raised:
        name_labels("mine", labels, mapping, keep=False)
    for word in ("mine", *words):
        assert word in str(raised.value)


def test_keeping_bare_labels_is_refused_too() -> None:
    with pytest.raises(ModelError, match="say nothing"):
        name_labels("m", BARE, None, keep=True)


def test_a_models_own_labels_stand_in_the_order_of_its_outputs_without_blanks() -> None:
    assert own_labels({1: " sad", 0: "angry\n"}) == ("angry", "sad")


def test_a_label_that_no_event_tells_may_say_nothing() -> None:
    assert name_labels("m", ("sad", "LABEL_1"), None, keep=False, unheard=("LABEL_1",)) == ("sad", "LABEL_1")


def test_a_model_can_tell_its_name_licence_languages_and_threshold() -> None:
    told = Metadata(name="embedded", revision=3, licence="MIT", languages=("en", "pl"), uncertain_below=0.0)
    info = model_info("folder", told, ("happy", "sad"), "main")
    assert (info.name, info.licence, info.languages) == ("embedded@3", "MIT", ("en", "pl"))
    assert info.uncertain_below == 0.0


@pytest.mark.parametrize(("revision", "name"), [(None, "folder"), ("v2", "folder@v2")])
def test_a_model_that_tells_nothing_is_called_by_where_it_lies(revision: str | None, name: str) -> None:
    info = model_info("folder", Metadata(), ("happy",), revision)
    assert (info.name, info.licence, info.languages, info.uncertain_below) == (name, None, (), 0.4)


def test_a_label_that_two_outputs_share_is_told_once() -> None:
    assert model_info("m", Metadata(), ("happy", "sad", "happy"), None).labels == ("happy", "sad")
