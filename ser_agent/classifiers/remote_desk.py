"""The books of the utterances that a satellite has asked about: who has them, what is due, what is over. No I/O.

Two threads meet here: one asks and waits, one is the connection to the broker. Times are monotonic, in seconds.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from ulid import ULID

from ser_agent.fleet_wire import Ask, FleetTopics, Presence, Reply
from ser_agent.ports import NON_SPEECH, Attributed, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ser_agent.ports import Answer

MOST_TRIES: Final = 2
"""Tries that an utterance has: what has killed two workers is not given to a third."""
UNHEARD_S: Final = 0.5
"""Seconds until what nobody had subscribed to is sent again."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited, and for how many.

    Attributes:
        answer_s: for an answer, seconds.
        no_worker_s: for a worker to come in sight, seconds.
        most: utterances that may be on their way at a time.
        has_fallback: whether there is somebody else to ask where no worker is in sight.
    """

    answer_s: float
    no_worker_s: float
    most: int
    has_fallback: bool = False


@dataclass(slots=True, eq=False)
class Asked:
    """An utterance that was asked about.

    Attributes:
        id: of the utterance.
        payload: its sound; empty once it is over.
        asked_at: when.
        deadline_s: when it is over.
        tries: used up.
        sent: how often.
        due_s: when it is to be sent; None where it is on its way.
        unconfirmed_s: since when the broker has owed its acknowledgement; None where it does not.
        takers: workers that have it now.
        answer: what came of it; None while it is open.
    """

    id: str
    payload: bytes
    asked_at: float
    deadline_s: float
    tries: int = 0
    sent: int = 0
    due_s: float | None = 0.0
    unconfirmed_s: float | None = None
    takers: set[str] = field(default_factory=set)
    answer: Answer | None = None


class Desk:
    """The books of what was asked. Thread-safe."""

    def __init__(
        self, topics: FleetTopics, site: str, patience: Patience, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with nothing asked and no worker in sight.

        Args:
            topics: of the fleet.
            site: whose utterances these are.
            patience: how long is waited.
            clock: gives the time.
        """
        self._topics = topics
        self._site = site
        self._patience = patience
        self._clock = clock
        self._changed = threading.Condition()
        self._open: dict[str, Asked] = {}
        self._workers: dict[str, Presence] = {}
        self._connected = self._tried = False
        self._lost_s: float | None = clock()
        self._counts: Counter[str] = Counter({"asked": 0, "again": 0, "duplicates": 0, "garbage": 0})

    # What the thread that asks does.

    def in_vain(self) -> bool:
        """Whether there is no use in asking, for no worker has been in sight for a while."""
        with self._changed:
            gone = self._lost_s is not None and self._clock() - self._lost_s >= self._patience.no_worker_s
            return gone and not self._workers

    def ask(self, sounds: Sequence[bytes]) -> list[Asked]:
        """Take in the sound of some utterances, so that it is sent."""
        now_s = self._clock()
        with self._changed:
            asked = [Asked(str(ULID()), sound, now_s, now_s + self._patience.answer_s) for sound in sounds]
            self._open.update({one.id: one for one in asked})
            self._counts["asked"] += len(asked)
            return asked

    def wait(self, asked: Sequence[Asked]) -> list[Answer]:
        """Wait until there is an answer to each, or its time is over."""
        with self._changed:
            while any(one.answer is None for one in asked):
                now_s = self._clock()
                limits_s = [self._look(one, now_s) for one in asked if one.answer is None]
                self._changed.wait(max(0.0, min(limits_s) - now_s))
            return [one.answer for one in asked if one.answer is not None]

    def workers(self, timeout_s: float, settle_s: float) -> list[Presence]:
        """Wait until a worker is in sight, or the broker could not be had.

        Args:
            timeout_s: longest wait for that, seconds.
            settle_s: how long is waited for more of them then.

        Returns:
            Those in sight, by name.
        """
        with self._changed:
            if self._changed.wait_for(lambda: self._workers or (self._tried and not self._connected), timeout_s):
                self._changed.wait_for(lambda: not self._connected, settle_s)
            return [self._workers[name] for name in sorted(self._workers)]

    def give_up(self) -> None:
        """Nothing will be answered any more."""
        with self._changed:
            for one in list(self._open.values()):
                self._settle(one, Unanswered("remote"))

    def counts(self) -> Mapping[str, int]:
        """Workers in sight, utterances asked about, sent again, and what came twice or was no answer."""
        with self._changed:
            return {"workers": len(self._workers), **self._counts}

    def _look(self, one: Asked, now_s: float) -> float:
        """Close the books on an utterance whose time is over; when to look again."""
        alone_s = [] if one.unconfirmed_s is None else [one.unconfirmed_s]
        if self._lost_s is not None:
            alone_s.append(max(self._lost_s, one.asked_at))
        limit_s = one.deadline_s
        if alone_s and self._patience.has_fallback:
            limit_s = min(limit_s, min(alone_s) + self._patience.no_worker_s)
        if now_s >= limit_s:
            self._settle(one, Unanswered("no_worker" if alone_s else "expired"))
        return limit_s

    # What the thread of the connection does.

    def connected(self) -> None:
        """There is a new connection: everything open is to be sent again, once a worker is in sight."""
        with self._changed:
            self._connected = self._tried = True
            for one in self._open.values():
                one.takers.clear()
                one.unconfirmed_s = None
                one.due_s = 0.0

    def disconnected(self) -> None:
        """There is no connection: nobody is in sight."""
        with self._changed:
            self._connected, self._tried = False, True
            self._workers.clear()
            self._lose_sight()

    def due(self, most: int) -> list[Ask]:
        """Some utterances that are to be sent now; from now on they are on their way."""
        now_s = self._clock()
        with self._changed:
            if not self._workers:
                return []
            due = [one for one in self._sendable() if one.due_s is not None and one.due_s <= now_s][:most]
            return [self._send(one, now_s) for one in due]

    def next_s(self) -> float:
        """Seconds until something more may have to be sent."""
        with self._changed:
            times_s = [one.due_s for one in self._sendable() if one.due_s is not None] if self._workers else []
            return max(0.0, min(times_s) - self._clock()) if times_s else math.inf

    def _sendable(self) -> list[Asked]:
        return list(islice(self._open.values(), self._patience.most))

    def _send(self, one: Asked, now_s: float) -> Ask:
        self._counts["again"] += one.sent > 0
        one.sent += 1
        one.due_s = None
        one.unconfirmed_s = now_s
        self._changed.notify_all()
        return Ask(
            one.id,
            self._site,
            attempt=one.tries + 1,
            response_topic=self._topics.answers(self._site),
            expires_in_s=max(1, math.ceil(one.deadline_s - now_s)),
            payload=one.payload,
        )

    def arrived(self, utterance_id: str, *, heard: bool) -> None:
        """The broker has an utterance; and tells, where it can, whether anybody has subscribed to it."""
        with self._changed:
            one = self._open.get(utterance_id)
            if one is not None:
                one.unconfirmed_s = None
            if heard:
                if self._workers:
                    self._lost_s = None
                return
            self._lose_sight()
            if one is not None:
                one.due_s = self._clock() + UNHEARD_S

    def refused(self, utterance_id: str) -> None:
        """The broker does not take an utterance."""
        with self._changed:
            one = self._open.get(utterance_id)
            if one is not None:
                self._settle(one, Unanswered("remote"))

    def garbage(self) -> None:
        """Something came that is nothing of ours."""
        with self._changed:
            self._counts["garbage"] += 1

    def take_presence(self, worker: str, presence: Presence | None) -> None:
        """A worker has come; or has gone, and what it had, and what nobody has yet, is to be sent again."""
        with self._changed:
            if presence is not None:
                self._workers[worker] = presence
                self._lost_s = None
                self._changed.notify_all()
                return
            self._workers.pop(worker, None)
            for one in list(self._open.values()):
                if worker in one.takers:
                    self._has_had_a_try(one, worker)
                elif not one.takers and one.due_s is None:
                    one.due_s = 0.0
            if not self._workers:
                self._lose_sight()

    def take_reply(self, reply: Reply) -> None:
        """A worker has said something of an utterance."""
        with self._changed:
            one = self._open.get(reply.id)
            if one is None:
                self._counts["duplicates"] += reply.state != "taken"
            elif reply.state == "taken":
                if reply.worker in self._workers:
                    one.takers.add(reply.worker)
            elif reply.state == "failed":
                self._has_had_a_try(one, reply.worker)
            elif reply.scores is not None and reply.model is not None:
                self._settle(one, Attributed(reply.scores, reply.model))
            else:
                self._settle(one, NON_SPEECH)

    def _has_had_a_try(self, one: Asked, worker: str) -> None:
        one.takers.discard(worker)
        one.tries += 1
        if one.takers:
            return
        if one.tries >= MOST_TRIES:
            self._settle(one, Unanswered("poisoned"))
        else:
            one.due_s = 0.0

    def _lose_sight(self) -> None:
        if self._lost_s is None:
            self._lost_s = self._clock()
        self._changed.notify_all()

    def _settle(self, one: Asked, answer: Answer) -> None:
        one.answer = answer
        one.payload = b""
        self._open.pop(one.id, None)
        self._changed.notify_all()
