"""What must arrive, in order and within bounds: an item stays until its delivery is acknowledged."""

from __future__ import annotations

import math
from collections import Counter, deque
from itertools import count
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from ser_agent.sinks.outbox_clock import boot_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

OUTBOX_FULL = "outbox full"
TOO_OLD = "too old"


class Ledger(Protocol[T_contra]):
    """Is told what an outbox takes in and lets go of; neither may wait for anything."""

    def note(self, ticket: int, item: T_contra, accepted_s: float) -> None:
        """An item was accepted at that time."""

    def forget(self, ticket: int) -> None:
        """An item has arrived or is lost."""


class Kept(NamedTuple, Generic[T]):
    """An item of an outbox.

    Attributes:
        ticket: its number; they rise.
        item: what is to be delivered.
        accepted_s: when it was accepted, by the outbox's clock.
    """

    ticket: int
    item: T
    accepted_s: float


class Outbox(Generic[T]):
    """A bounded first-in, first-out store with delivery tickets.

    ``take`` hands an item out together with a ticket; the item is kept until the ticket is acknowledged. After a
    lost connection ``rewind`` makes all that was handed out wait again, in its old place. When full, the oldest
    item that waits is dropped (where all are handed out already: the oldest of these), and counted. An item that
    is too old is never handed out, but dropped and counted, too.

    Not safe for use from several threads: its owner holds a lock.
    """

    def __init__(
        self,
        max_items: int,
        *,
        max_age_s: float = math.inf,
        clock: Callable[[], float] = boot_s,
        ledger: Ledger[T] | None = None,
        restored: Iterable[Kept[T]] = (),
    ) -> None:
        """Make an outbox.

        Args:
            max_items: bound of waiting and handed-out items together, at least 1.
            max_age_s: how long after its acceptance an item may still be handed out, seconds.
            clock: time in seconds; no step of the wall clock may move it.
            ledger: is told what comes and goes.
            restored: what waits from an earlier life, in order; the ledger knows of it already.
        """
        self.max_items = max_items
        self._max_age_s = max_age_s
        self._clock = clock
        self._ledger = ledger
        self._waiting: deque[Kept[T]] = deque()
        self._under_way: dict[int, Kept[T]] = {}
        self._losses: Counter[str] = Counter()
        first = 0
        for kept in restored:
            self._make_room()
            self._waiting.append(kept)
            first = kept.ticket + 1
        self._tickets = count(first)

    def add(self, item: T) -> bool:
        """Append an item.

        Returns:
            False where an older item had to be dropped for it.
        """
        had_room = self._make_room()
        kept = Kept(next(self._tickets), item, self._clock())
        self._waiting.append(kept)
        if self._ledger is not None:
            self._ledger.note(*kept)
        return had_room

    def _make_room(self) -> bool:
        if len(self) < self.max_items:
            return True
        ticket = self._waiting.popleft().ticket if self._waiting else next(iter(self._under_way))
        self._under_way.pop(ticket, None)
        self._lose(ticket, OUTBOX_FULL)
        return False

    def take(self) -> tuple[int, T] | None:
        """Hand out the oldest waiting item with its ticket; None where nothing waits."""
        while self._waiting:
            kept = self._waiting.popleft()
            if self._is_too_old(kept):
                self._lose(kept.ticket, TOO_OLD)
                continue
            self._under_way[kept.ticket] = kept
            return kept.ticket, kept.item
        return None

    def expire(self) -> int:
        """Drop what waits and is too old.

        Returns:
            How many items that were.
        """
        before = self._losses[TOO_OLD]
        while self._waiting and self._is_too_old(self._waiting[0]):
            self._lose(self._waiting.popleft().ticket, TOO_OLD)
        return self._losses[TOO_OLD] - before

    def _is_too_old(self, kept: Kept[T]) -> bool:
        return self._clock() - kept.accepted_s > self._max_age_s

    def acknowledge(self, ticket: int) -> None:
        """Forget an item that has arrived. A ticket that is not under way (any more) is ignored."""
        if self._under_way.pop(ticket, None) is not None:
            self._forget(ticket)

    def refuse(self, ticket: int, reason: str) -> None:
        """Count an item that was handed out as lost, for instance because the receiver does not want it."""
        if self._under_way.pop(ticket, None) is not None:
            self._lose(ticket, reason)

    def _lose(self, ticket: int, reason: str) -> None:
        self._losses[reason] += 1
        self._forget(ticket)

    def _forget(self, ticket: int) -> None:
        if self._ledger is not None:
            self._ledger.forget(ticket)

    def count_losses(self, losses: Mapping[str, int]) -> None:
        """Count what was lost elsewhere, by reason."""
        self._losses.update(losses)

    def rewind(self) -> None:
        """Make everything that was handed out and never acknowledged wait again, before what came later."""
        self._waiting.extendleft(reversed(self._under_way.values()))
        self._under_way.clear()

    def abandon(self, reason: str, outlives: Callable[[int], bool] = lambda _ticket: False) -> int:
        """Give up all that is left and count it as lost.

        Args:
            reason: why.
            outlives: tells of a ticket whether its item is kept elsewhere; such a one is not lost.

        Returns:
            How many items were lost.
        """
        tickets = [*self._under_way, *(kept.ticket for kept in self._waiting)]
        left = sum(not outlives(ticket) for ticket in tickets)
        if left:
            self._losses[reason] += left
        self._waiting.clear()
        self._under_way.clear()
        return left

    @property
    def under_way(self) -> int:
        """Items handed out and not acknowledged."""
        return len(self._under_way)

    @property
    def losses(self) -> Mapping[str, int]:
        """How many items were lost, by reason."""
        return dict(self._losses)

    @property
    def lost(self) -> int:
        """How many items were lost."""
        return self._losses.total()

    def __len__(self) -> int:
        """Items waiting and under way."""
        return len(self._waiting) + len(self._under_way)
