"""Where the pipeline's threads put messages and the courier's thread collects what to send."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser_agent.errors import SinkError
from ser_agent.messages import AnyMessage, EmotionEvent
from ser_agent.sinks.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ser_agent.sinks.mqtt_display import Display
    from ser_agent.sinks.mqtt_satellites import Household
    from ser_agent.sinks.mqtt_topics import Publication, Topics
    from ser_agent.sinks.outbox_journal import Journal

log = logging.getLogger(__name__)

CLOSED = "not delivered before the end"
MAX_NOTES = 64


@dataclass(frozen=True, slots=True)
class Parcel:
    """A publication to be sent.

    Attributes:
        publication: what to send.
        ticket: its number in the outbox that it comes from; None for a state, whose loss the next value mends.
        outbox: that outbox.
    """

    publication: Publication
    ticket: int | None = None
    outbox: Outbox[Publication] | None = None


class Mailbox:
    """Events and notes in bounded outboxes, states on display, and a lock around all of them.

    Notes are what is said once: responses to commands, and what clears a topic. Accepting a message takes no
    longer than the lock is held, which is never while anything is sent, and, where events are kept on disk, until
    one is there. Memory is bounded by the outboxes and by the number of topics, whatever the broker does.
    """

    def __init__(
        self,
        topics: Topics,
        display: Display | Household,
        events: Outbox[Publication],
        journal: Journal | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with what waits in the outbox.

        Args:
            topics: of the agent.
            display: what is shown; nobody else touches it any more.
            events: where events wait; nobody else touches it any more.
            journal: keeps these on disk; None where memory will do.
            clock: monotonic time in seconds.
        """
        self._topics = topics
        self._display = display
        self._clock = clock
        self._events = events
        self._journal = journal
        self._notes: Outbox[Publication] = Outbox(MAX_NOTES)
        self._closed = False
        self._overflowing = False
        self._ageing = False
        self._states_under_way = 0
        self._retell_at_s: float | None = None
        self._settled = threading.Condition()

    def post(self, message: AnyMessage) -> None:
        """Accept a message. A kind that has no topic is ignored.

        Raises:
            SinkError: the mailbox is closed.
        """
        with self._settled:
            if self._closed:
                raise SinkError("the MQTT sink is closed")
            if isinstance(message, EmotionEvent):
                self._keep(message)
            self._display.show(message, self._clock())
        if self._journal is not None and isinstance(message, EmotionEvent):
            self._journal.sync()

    def _keep(self, event: EmotionEvent) -> None:
        self._expire()
        if self._events.add(self._display.event(event)):
            self._overflowing = False
        elif not self._overflowing:
            self._overflowing = True
            log.warning("the MQTT outbox is full (%d events): the oldest are dropped", self._events.max_items)

    def _expire(self) -> None:
        if self._events.expire() and not self._ageing:
            self._ageing = True
            log.warning("the MQTT outbox holds events that have become too old: they are dropped")

    def note(self, publication: Publication) -> None:
        """Accept something that is said once; when too much waits, the oldest is dropped."""
        with self._settled:
            if not self._closed:
                self._notes.add(publication)

    def retell(self, delay_s: float = 0.0) -> None:
        """Have everything that is shown told anew, after a while; not later than has been asked for before."""
        with self._settled:
            at_s = self._clock() + delay_s
            self._retell_at_s = at_s if self._retell_at_s is None else min(at_s, self._retell_at_s)

    def begin_session(self) -> None:
        """A connection is up: what was never acknowledged waits again, and every state has to be told anew."""
        with self._settled:
            self._events.rewind()
            self._notes.rewind()
            self._display.board.reassert()
            self._states_under_way = 0
            self._retell_at_s = None

    def collect(self) -> Parcel | None:
        """The next thing to send: states, then notes, then events in order; no events once closed."""
        with self._settled:
            now_s = self._clock()
            self._display.expire(now_s)
            if self._retell_at_s is not None and now_s >= self._retell_at_s:
                self._retell_at_s = None
                self._display.board.reassert()
            if state := self._display.board.take():
                self._states_under_way += 1
                return Parcel(state)
            self._expire()
            for outbox in (self._notes,) if self._closed else (self._notes, self._events):
                if (taken := outbox.take()) is not None:
                    ticket, publication = taken
                    return Parcel(publication, ticket, outbox)
            return None

    def settle(self, parcel: Parcel, refusal: str | None = None) -> None:
        """A parcel has arrived, or the broker refused it."""
        with self._settled:
            if parcel.outbox is None or parcel.ticket is None:
                self._states_under_way -= 1
            elif refusal is None:
                parcel.outbox.acknowledge(parcel.ticket)
                self._ageing = False
            else:
                parcel.outbox.refuse(parcel.ticket, refusal)
            self._settled.notify_all()
        if self._journal is not None and parcel.outbox is self._events:
            self._journal.tidy()

    def contradict(self, availability: bytes) -> None:
        """Some value was published as our availability: where it is an earlier session's will, tell ours again."""
        with self._settled:
            ours = self._topics.availability(online=True)
            if self._display.online and availability != ours.payload:
                self._display.insist_on_availability()

    def remaining_s(self) -> float | None:
        """Seconds until something changes by itself; None where nothing is to come."""
        with self._settled:
            now_s = self._clock()
            expiry_s = self._display.remaining_s(now_s)
            if self._retell_at_s is None:
                return expiry_s
            retelling_s = max(0.0, self._retell_at_s - now_s)
            return retelling_s if expiry_s is None else min(retelling_s, expiry_s)

    def wait_settled(self, timeout_s: float) -> bool:
        """Wait until everything accepted has arrived or is lost.

        Returns:
            Whether that was so in time.
        """
        with self._settled:
            return self._settled.wait_for(
                lambda: not len(self._events) and not len(self._notes) and self._states_are_settled(), timeout_s
            )

    def _states_are_settled(self) -> bool:
        return not self._display.board.unsent and not self._states_under_way

    def close(self) -> None:
        """Accept nothing more, hand out no more events, and have ``offline`` told."""
        with self._settled:
            self._closed = True
            self._display.set_online(online=False)

    def may_leave(self) -> bool:
        """Whether, once closed, all that was handed out has been acknowledged."""
        with self._settled:
            under_way = self._events.under_way + len(self._notes)
            return self._closed and not under_way and self._states_are_settled()

    def abandon(self) -> int:
        """Count every event that is left, and not on disk, as lost.

        Returns:
            How many those were.
        """
        if self._journal is not None:
            self._journal.close()
        with self._settled:
            self._notes.abandon(CLOSED)
            lost = self._events.abandon(CLOSED, self._outlives)
            self._settled.notify_all()
            return lost

    def _outlives(self, ticket: int) -> bool:
        return self._journal is not None and self._journal.holds(ticket)

    @property
    def waiting(self) -> int:
        """Events that wait or are under way."""
        with self._settled:
            self._expire()
            return len(self._events)

    @property
    def losses(self) -> Mapping[str, int]:
        """How many events were lost, by reason."""
        with self._settled:
            return self._events.losses

    @property
    def lost(self) -> int:
        """How many events were lost."""
        with self._settled:
            return self._events.lost
