"""From the broker's thread to the listening one."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_agent.buffer import Closed
from ser_agent.errors import SourceLost
from ser_agent.sources.hermes_inflow import CYCLE_S, MOST_BYTES, MOST_BYTES_OF_A_SITE, Arrival, Inflow

if TYPE_CHECKING:
    from collections.abc import Iterable


def arrival(name: str, at_s: float = 0.0, payload: bytes = b"x") -> Arrival:
    return Arrival(name, payload, at_s, None)


def filled(arrivals: Iterable[Arrival]) -> Inflow:
    inflow = Inflow(2.0)
    for one in arrivals:
        inflow.put(one)
    return inflow


def taken(inflow: Inflow) -> list[Arrival]:
    found = []
    while (one := inflow.take(0.0)) is not None:
        found.append(one)
    return found


def test_each_satellite_s_messages_come_in_their_order() -> None:
    inflow = filled([*(arrival("a", n / 100) for n in range(3)), arrival("b"), arrival("c"), arrival("b", 0.5)])
    found = taken(inflow)
    assert [one.arrived_at for one in found if one.name == "a"] == [0.0, 0.01, 0.02]
    assert [one.arrived_at for one in found if one.name == "b"] == [0.0, 0.5]
    assert len(found) == 6


def test_where_there_is_too_much_some_are_heard_whole_and_who_that_is_goes_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"satellite-{number}" for number in range(20)]
    heard: dict[str, list[int]] = {name: [] for name in names}
    inflow, clock = Inflow(2.0), [0.0]
    monkeypatch.setattr("ser_agent.sources.hermes_inflow.time", SimpleNamespace(monotonic=lambda: clock[0]))
    for second in range(round(2 * CYCLE_S)):  # one message a second of each, and time for half of them
        clock[0] = float(second)
        for name in names:
            inflow.put(arrival(name, clock[0]))
        for _ in range(len(names) // 2):
            one = inflow.take(0.0)
            assert one is not None
            heard[one.name].append(round(one.arrived_at))
    for times in heard.values():
        assert len(times) > 0.3 * CYCLE_S  # nobody is forgotten
        breaks = sum(later - before != 1 for before, later in itertools.pairwise(times))
        assert breaks < len(times) / 6  # nor chopped


def test_what_has_waited_too_long_gives_way_to_what_is_newer_of_the_same_satellite() -> None:
    inflow = filled([arrival("a", n) for n in range(10)] + [arrival("b", 0.0)])
    found = taken(inflow)
    assert [one.arrived_at for one in found if one.name == "a"] == [7, 8, 9]
    assert [one.arrived_at for one in found if one.name == "b"] == [0]
    assert inflow.shed == 7


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1), st.integers(0, 70_000)), max_size=300))
def test_what_came_is_taken_or_shed_and_never_too_much_waits(plan: list[tuple[str, float, int]]) -> None:
    at_s = 0.0
    inflow = Inflow(0.5)
    for name, later_s, size in plan:
        at_s += later_s
        inflow.put(arrival(name, at_s, bytes(size)))
        assert inflow._size_bytes <= 3 * MOST_BYTES_OF_A_SITE
    found = taken(inflow)
    assert len(found) + inflow.shed == len(plan)
    assert inflow._size_bytes == 0
    for name in "abc":
        times = [one.arrived_at for one in found if one.name == name]
        assert times == sorted(times)


def test_a_flood_of_invented_satellites_is_bounded() -> None:
    inflow = filled(arrival(f"site {number}", 0.0, bytes(60_000)) for number in range(1000))
    assert inflow._size_bytes <= MOST_BYTES
    assert len(taken(inflow)) + inflow.shed == 1000


def test_once_it_has_failed_what_waits_is_still_taken_and_then_the_reason_told() -> None:
    inflow = filled([arrival("a")])
    inflow.fail(SourceLost("gone"))
    assert inflow.take(0.0) is not None
    with pytest.raises(SourceLost, match="gone"):
        inflow.take(10.0)


def test_once_it_is_closed_nothing_is_taken_any_more() -> None:
    inflow = filled([arrival("a")])
    inflow.close()
    with pytest.raises(Closed):
        inflow.take(10.0)
