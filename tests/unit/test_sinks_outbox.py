from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ser_agent.sinks.outbox import OUTBOX_FULL, Outbox


def taken(outbox: Outbox[str], count: int) -> list[tuple[int, str]]:
    return [item for _ in range(count) if (item := outbox.take()) is not None]


def filled(items: str, *, max_items: int = 10) -> Outbox[str]:
    outbox = Outbox[str](max_items)
    for item in items:
        outbox.add(item)
    return outbox


def test_items_are_handed_out_in_order_and_kept_until_acknowledged() -> None:
    outbox = filled("abc")
    handed_out = taken(outbox, 3)
    assert [item for _, item in handed_out] == ["a", "b", "c"]
    assert outbox.take() is None
    assert len(outbox) == outbox.under_way == 3
    outbox.acknowledge(handed_out[1][0])
    assert len(outbox) == 2
    assert outbox.lost == 0


def test_after_a_rewind_what_was_never_acknowledged_comes_first_and_in_order() -> None:
    outbox = filled("abcde")
    (_, (second, _), _) = taken(outbox, 3)
    outbox.acknowledge(second)
    outbox.rewind()
    assert [item for _, item in taken(outbox, 9)] == ["a", "c", "d", "e"]


def test_a_full_outbox_drops_the_oldest_that_waits() -> None:
    outbox = filled("abcd", max_items=4)
    taken(outbox, 1)
    assert not outbox.add("e")
    outbox.rewind()
    assert [item for _, item in taken(outbox, 9)] == ["a", "c", "d", "e"]
    assert outbox.losses == {OUTBOX_FULL: 1}


def test_where_everything_is_under_way_the_oldest_of_that_is_given_up() -> None:
    outbox = filled("a", max_items=1)
    ((ticket, _),) = taken(outbox, 1)
    assert not outbox.add("b")
    outbox.acknowledge(ticket)
    assert outbox.lost == 1
    assert [item for _, item in taken(outbox, 9)] == ["b"]


def test_refused_and_abandoned_items_are_counted_by_reason() -> None:
    outbox = filled("abc")
    ((ticket, _),) = taken(outbox, 1)
    outbox.refuse(ticket, "not authorized")
    outbox.refuse(ticket, "not authorized")
    assert outbox.abandon("the end") == 2
    assert outbox.abandon("the end") == 0
    assert outbox.losses == {"not authorized": 1, "the end": 2}
    assert outbox.lost == 3


class AnyUse(RuleBasedStateMachine):
    """Whatever is done: bounded, in order, and every item is delivered, kept or lost."""

    MAX_ITEMS = 4

    def __init__(self) -> None:
        super().__init__()
        self.outbox: Outbox[int] = Outbox(self.MAX_ITEMS)
        self.added = 0
        self.delivered = 0
        self.under_way: dict[int, int] = {}
        self.last_taken = -1

    @rule()
    def add(self) -> None:
        before = self.outbox.lost
        assert self.outbox.add(self.added) == (self.outbox.lost == before)
        self.added += 1

    @rule()
    def take(self) -> None:
        if (handed_out := self.outbox.take()) is not None:
            ticket, item = handed_out
            assert item > self.last_taken, "out of order"
            self.last_taken = item
            self.under_way[ticket] = item

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), welcome=st.booleans())
    def answer(self, data: st.DataObject, *, welcome: bool) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.under_way)))
        del self.under_way[ticket]
        before = len(self.outbox)
        if welcome:
            self.outbox.acknowledge(ticket)
            self.delivered += before - len(self.outbox)
        else:
            self.outbox.refuse(ticket, "refused")

    @rule()
    def reconnect(self) -> None:
        self.outbox.rewind()
        self.under_way.clear()
        self.last_taken = -1

    @invariant()
    def nothing_is_lost_silently(self) -> None:
        assert len(self.outbox) <= self.MAX_ITEMS
        assert self.added == self.delivered + len(self.outbox) + self.outbox.lost


TestAnyUse = AnyUse.TestCase
