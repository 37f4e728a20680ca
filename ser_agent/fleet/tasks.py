"""What a worker has to do, and what it remembers of what it has done. All of it belongs to one thread."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.fleet_wire import Ask, Reply

REMEMBERED: Final = 1024
"""So many of the latest answers are given again to who asks again."""

Key: TypeAlias = tuple[str, str]
"""Site and id: an id is its satellite's, who has no say in another one's."""


@dataclass(slots=True, eq=False)
class Task:
    """An utterance that was asked about.

    Attributes:
        ask: the question, without the sound.
        expires_at_s: monotonic time from which on the answer is of no use.
        acknowledge: tells the broker that it is done with, once for each time that it was delivered.
    """

    ask: Ask
    expires_at_s: float
    acknowledge: list[Callable[[], None]] = field(default_factory=list)

    @property
    def key(self) -> Key:
        """What tells it from all others."""
        return self.ask.site, self.ask.id

    @property
    def remaining_s(self) -> float:
        """For how long an answer is of use, seconds."""
        return self.expires_at_s - time.monotonic()

    @property
    def expired(self) -> bool:
        """Whether an answer is of no use any more."""
        return self.remaining_s <= 0

    def join(self, other: Task) -> None:
        """Take in another delivery of the same question: both are done with at once."""
        self.acknowledge += other.acknowledge
        self.ask = replace(self.ask, attempt=max(self.ask.attempt, other.ask.attempt))
        self.expires_at_s = max(self.expires_at_s, other.expires_at_s)

    def done(self) -> None:
        """Acknowledge it, as often as it was delivered."""
        for acknowledge in self.acknowledge:
            acknowledge()
        self.acknowledge.clear()


class Memory:
    """What is in work, by key, and the latest answers, each with the try that it was given to."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        """Begin with nothing; of answers, so many are remembered."""
        self.open: dict[Key, Task] = {}
        self._remembered = remembered
        self._known: OrderedDict[Key, tuple[int, Reply]] = OrderedDict()

    def answer_to(self, ask: Ask) -> Reply | None:
        """The answer that this question has had; None where there is none, or a try before this one failed."""
        attempt, reply = self._known.get((ask.site, ask.id), (0, None))
        tried_anew = reply is not None and reply.state == "failed" and ask.attempt > attempt
        return None if tried_anew else reply

    def remember(self, ask: Ask, reply: Reply) -> None:
        """Note an answer; the oldest is forgotten."""
        self._known[ask.site, ask.id] = (ask.attempt, reply)
        self._known.move_to_end((ask.site, ask.id))
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)
