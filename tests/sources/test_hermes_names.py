"""What satellites are called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_agent.sources.hermes_names import MOST_REMEMBERED, SECTION, SiteNames, slug
from ser_agent.state import StateFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("kitchen", "kitchen"),
        ("Living Room", "living-room"),
        ("Küche", "kuche"),
        ("sat_1-a", "sat_1-a"),
        ("--a..b--", "a-b"),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_name_becomes_a_slug_that_people_recognise(name: str, wanted: str) -> None:
    assert slug(name) == wanted


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=128), unique=True, max_size=20))
def test_every_name_has_a_slug_of_its_own(names: list[str]) -> None:
    sites = SiteNames(StateFile(), {"home", "a"})
    given_ = [sites.of(name) for name in names]
    assert len(set(given_)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_-]{1,64}", site) for site in given_)
    assert not {"home", "a"}.intersection(given_)
    assert [sites.of(name) for name in names] == given_


def test_whoever_was_first_keeps_the_slug_even_after_a_restart(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state.json")
    sites = SiteNames(state, {"hub"})
    first, second = sites.of("Living Room"), sites.of("living-room")
    state.close()
    again = SiteNames(StateFile(tmp_path / "state.json"), {"hub"})
    assert again.of("living-room") == second != first
    assert again.of("Living Room") == first == "living-room"


def test_what_makes_no_sense_in_the_state_is_forgotten() -> None:
    state = StateFile()
    state.write(SECTION, {"sites": {"a": "Not A Slug", "b": 3, "c": "hub", "d": "fine"}})
    sites = SiteNames(state, {"hub"})
    assert [sites.of(name) for name in "abcd"] == ["a", "b", "c", "fine"]
    state.write(SECTION, {"sites": ["a"]})
    assert SiteNames(state, {"hub"}).of("hub") != "hub"


def test_only_so_many_are_remembered() -> None:
    state = StateFile()
    sites = SiteNames(state, set())
    for number in range(MOST_REMEMBERED + 10):
        sites.of(f"satellite {number}")
    assert len(state.read(SECTION)["sites"]) == MOST_REMEMBERED
