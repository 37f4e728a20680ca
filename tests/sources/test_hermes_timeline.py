"""When sound was heard that carries no numbers."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_agent.audio import SAMPLE_RATE
from ser_agent.sources.hermes_timeline import Placed, Timeline

CHUNK = 1024
GAP_S = 1.0
CHUNK_S = CHUNK / SAMPLE_RATE


def placed(arrivals: list[float]) -> list[Placed]:
    timeline = Timeline(GAP_S)
    return [timeline.place(CHUNK, arrived_at) for arrived_at in arrivals]


def spoken_at(number: int) -> float:
    """When the sound of a message was there, in a satellite that began at 100 s."""
    return 100 + (number + 1) * CHUNK_S


@given(st.lists(st.floats(0, GAP_S * 0.9), min_size=2, max_size=80))
@settings(max_examples=40, deadline=None)
def test_sound_that_is_late_now_and_then_is_never_a_gap(delays: list[float]) -> None:
    arrivals = list(itertools.accumulate((spoken_at(n) + d for n, d in enumerate(delays)), max))  # TCP keeps order
    found = placed(arrivals)
    assert [one.offset for one in found] == [n * CHUNK for n in range(len(delays))]
    assert not any(one.after_gap for one in found)
    for number, (one, arrived_at) in enumerate(zip(found, arrivals, strict=True)):
        assert one.captured_at <= arrived_at - CHUNK_S + 1e-6  # never heard after it was there
        assert one.captured_at >= spoken_at(number) - CHUNK_S - 1e-6  # nor before it was spoken


def test_where_much_was_lost_there_is_a_gap_of_that_length() -> None:
    arrivals = [spoken_at(n) for n in (*range(10), *range(60, 70))]
    found = placed(arrivals)
    assert [one.after_gap for one in found] == [False] * 10 + [True] + [False] * 9
    assert found[10].offset == 60 * CHUNK
    assert found[-1].captured_at == pytest.approx(spoken_at(69) - CHUNK_S, abs=1e-6)


def test_what_is_lost_in_small_pieces_never_adds_up_to_a_gap() -> None:
    arrivals = [spoken_at(n) for n in range(2000) if n % 50 > 4]  # a tenth of it, a third of a second at a time
    found = placed(arrivals)
    assert not any(one.after_gap for one in found)
    assert arrivals[-1] - CHUNK_S - found[-1].captured_at < 1.0


def test_a_satellite_whose_clock_is_fast_or_slow_is_followed() -> None:
    for drift in (0.99, 1.01):
        arrivals = [100 + n * CHUNK_S * drift for n in range(5000)]
        found = placed(arrivals)
        assert not any(one.after_gap for one in found)
        assert abs(arrivals[-1] - CHUNK_S - found[-1].captured_at) < 0.2
