"""Who waits for the classifier, and who gives way."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_agent.buffer import Closed
from ser_agent.pipeline.waiting import LIKE_LENGTH, UtteranceQueue
from ser_agent.testing import utterance

if TYPE_CHECKING:
    from ser_agent.audio import Utterance

SECOND = utterance(1.0)


def said(site: str | None, number: int, tenths: int = 10) -> Utterance:
    return replace(utterance(tenths / 10) if tenths != 10 else SECOND, site=site, offset=number)


def test_of_one_site_the_oldest_gives_way_and_other_sites_lose_nothing() -> None:
    queue = UtteranceQueue(most_of_a_site=2)
    assert queue.put(said("quiet", 0)) == []
    dropped = [one.offset for number in range(5) for one in queue.put(said("loud", number))]
    assert dropped == [0, 1, 2]
    assert [(one.site, one.offset) for one in queue.take(8, 0)] == [("quiet", 0), ("loud", 3), ("loud", 4)]


def test_where_all_of_them_hold_too_much_sound_the_oldest_of_all_gives_way() -> None:
    queue = UtteranceQueue(most_s=3.0)
    for number in range(3):
        assert queue.put(said(f"site-{number}", number)) == []
    assert [one.offset for one in queue.put(said("new", 9, tenths=20))] == [0, 1]
    assert [one.offset for one in queue.put(said("endless", 10, tenths=50))] == [2, 9]
    assert len(queue) == 1


def test_what_goes_together_is_of_like_length_and_the_oldest_is_always_among_it() -> None:
    queue = UtteranceQueue()
    for number, tenths in enumerate([10, 30, 11, 29, 14, 5]):
        queue.put(said(f"site-{number}", number, tenths))
    assert [one.offset for one in queue.take(8, 0)] == [0, 2, 4]
    assert [one.offset for one in queue.take(1, 0)] == [1]
    assert [one.offset for one in queue.take(8, 0)] == [3]
    assert [one.offset for one in queue.take(8, 0)] == [5]
    assert queue.take(8, 0) == []


PLAN = st.lists(st.tuples(st.sampled_from(["a", "b", None, ""]), st.integers(1, 40), st.booleans()), max_size=40)


@settings(max_examples=50, deadline=None)
@given(PLAN, st.integers(1, 4), st.floats(1, 10))
def test_each_is_taken_or_dropped_once_and_the_bounds_hold(
    plan: list[tuple[str | None, int, bool]], most: int, most_s: float
) -> None:
    queue = UtteranceQueue(most, most_s)
    gone: list[int] = []
    for number, (site, tenths, take) in enumerate(plan):
        if take and site == "":
            batch = queue.take(3, 0)
            lengths = [len(one.samples) for one in batch]
            assert not batch or max(lengths) <= min(lengths) * LIKE_LENGTH**2 + 1
            gone += [one.offset for one in batch]
        gone += [one.offset for one in queue.put(said(site, number, tenths))]
        assert max(Counter(one.site for one in queue._waiting).values()) <= most
        assert len(queue) == 1 or sum(one.duration_s for one in queue._waiting) <= most_s + 1e-6
        assert number in [one.offset for one in queue._waiting]  # the newest speech wins
    while batch := queue.take(5, 0):
        gone += [one.offset for one in batch]
    assert sorted(gone) == list(range(len(plan)))


def test_a_source_that_can_wait_does_so_until_there_is_room() -> None:
    queue = UtteranceQueue(most_of_a_site=1)
    assert queue.put_wait(said(None, 0))
    assert not queue.put_wait(said(None, 1), timeout_s=0.01)
    threading.Timer(0.05, lambda: queue.take(1, 0)).start()
    assert queue.put_wait(said(None, 1), timeout_s=30)


def test_once_closed_it_gives_what_waits_and_takes_nothing() -> None:
    queue = UtteranceQueue()
    queue.put(said("a", 0))
    queue.close()
    (refused,) = queue.put(said("a", 1))
    assert refused.offset == 1
    assert not queue.put_wait(said("a", 1))
    assert [one.offset for one in queue.take(8, 30)] == [0]
    with pytest.raises(Closed):
        queue.take(8, 30)
