"""What must arrive, in order and within bounds: an item stays until its delivery is acknowledged."""

from __future__ import annotations

from collections import Counter, deque
from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

OUTBOX_FULL = "outbox full"


class Outbox(Generic[T]):
    """A bounded first-in, first-out store with delivery tickets.

    ``take`` hands an item out together with a ticket; the item is kept until the ticket is acknowledged. After a
    lost connection ``rewind`` makes all that was handed out wait again, in its old place. When full, the oldest
    item that waits is dropped (where all are handed out already: the oldest of these), and counted.

    Not safe for use from several threads: its owner holds a lock.
    """

    def __init__(self, max_items: int) -> None:
        """Make an empty outbox.

        Args:
            max_items: bound of waiting and handed-out items together, at least 1.
        """
        self._max_items = max_items
        self._waiting: deque[tuple[int, T]] = deque()
        self._under_way: dict[int, T] = {}
        self._tickets = count()
        self._losses: Counter[str] = Counter()

    def add(self, item: T) -> bool:
        """Append an item.

        Returns:
            False where an older item had to be dropped for it.
        """
        has_room = len(self) < self._max_items
        if not has_room:
            self._drop_oldest()
        self._waiting.append((next(self._tickets), item))
        return has_room

    def _drop_oldest(self) -> None:
        if self._waiting:
            self._waiting.popleft()
        else:
            del self._under_way[next(iter(self._under_way))]
        self._losses[OUTBOX_FULL] += 1

    def take(self) -> tuple[int, T] | None:
        """Hand out the oldest waiting item with its ticket; None where nothing waits."""
        if not self._waiting:
            return None
        ticket, item = self._waiting.popleft()
        self._under_way[ticket] = item
        return ticket, item

    def acknowledge(self, ticket: int) -> None:
        """Forget an item that has arrived. A ticket that is not under way (any more) is ignored."""
        self._under_way.pop(ticket, None)

    def refuse(self, ticket: int, reason: str) -> None:
        """Count an item that was handed out as lost, for instance because the receiver does not want it."""
        if ticket in self._under_way:
            del self._under_way[ticket]
            self._losses[reason] += 1

    def rewind(self) -> None:
        """Make everything that was handed out and never acknowledged wait again, before what came later."""
        self._waiting.extendleft(reversed(self._under_way.items()))
        self._under_way.clear()

    def abandon(self, reason: str) -> int:
        """Give up all that is left and count it as lost.

        Returns:
            How many items that were.
        """
        left = len(self)
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
