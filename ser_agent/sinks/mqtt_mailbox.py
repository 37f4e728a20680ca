"""Where the pipeline's threads put messages and the courier's thread collects what to send."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser_agent.errors import SinkError
from ser_agent.messages import (
    AgentInfo,
    AgentStats,
    AnyMessage,
    Availability,
    EmotionEvent,
    MicrophoneState,
    SpeechState,
)
from ser_agent.sinks.mqtt_states import EmotionHold, StateBoard
from ser_agent.sinks.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ser_agent.sinks.mqtt_topics import Publication, Topics

log = logging.getLogger(__name__)

CLOSED = "not delivered before the end"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A publication to be sent.

    Attributes:
        publication: what to send.
        ticket: number of the event in the outbox; None for a state, whose loss the next value mends.
    """

    publication: Publication
    ticket: int | None


class Mailbox:
    """Events in a bounded outbox, states on a board, and a lock around both.

    Accepting a message takes no longer than the lock is held, which is never while anything is sent. Memory is
    bounded by the outbox and by the number of topics, whatever the broker does.
    """

    def __init__(
        self, topics: Topics, *, max_events: int, hold_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin offline, with no emotion shown: what an earlier life left on the broker is out of date.

        Args:
            topics: renders messages.
            max_events: bound of the outbox.
            hold_s: how long an emotion outlives the last event and the last speech, seconds.
            clock: monotonic time in seconds.
        """
        self._topics = topics
        self._clock = clock
        self._outbox: Outbox[Publication] = Outbox(max_events)
        self._max_events = max_events
        self._board = StateBoard()
        self._hold = EmotionHold(hold_s)
        self._online = False
        self._closed = False
        self._overflowing = False
        self._states_under_way = 0
        self._settled = threading.Condition()
        self._board.put(topics.availability(online=False))
        self._board.put(topics.emotion(None))

    def post(self, message: AnyMessage) -> None:
        """Accept a message. A kind that has no topic is ignored.

        Raises:
            SinkError: the mailbox is closed.
        """
        with self._settled:
            if self._closed:
                raise SinkError("the MQTT sink is closed")
            match message:
                case EmotionEvent():
                    self._post_event(message)
                case Availability(online=online):
                    self._online = online
                    self._board.put(self._topics.availability(online=online))
                case SpeechState(speaking=speaking):
                    self._hold.speech(speaking=speaking, now_s=self._clock())
                    self._board.put(self._topics.speech(speaking=speaking))
                case MicrophoneState(connected=connected):
                    if not connected:
                        self._hold.speech(speaking=False, now_s=self._clock())
                    self._board.put(self._topics.microphone(connected=connected))
                case AgentInfo():
                    self._board.put(self._topics.info(message))
                case AgentStats():
                    self._board.put(self._topics.stats(message))

    def _post_event(self, event: EmotionEvent) -> None:
        if self._outbox.add(self._topics.event(event)):
            self._overflowing = False
        elif not self._overflowing:
            self._overflowing = True
            log.warning("the MQTT outbox is full (%d events): the oldest are dropped", self._max_events)
        self._hold.heard(self._clock())
        self._board.put(self._topics.emotion(event))

    def begin_session(self) -> None:
        """A connection is up: unacknowledged events wait again, and every state has to be told anew."""
        with self._settled:
            self._outbox.rewind()
            self._board.reassert()
            self._states_under_way = 0

    def collect(self) -> Parcel | None:
        """The next thing to send: states before events, events in order; none of these once closed."""
        with self._settled:
            if self._hold.expire(self._clock()):
                self._board.put(self._topics.emotion(None))
            if state := self._board.take():
                self._states_under_way += 1
                return Parcel(state, None)
            if self._closed or (event := self._outbox.take()) is None:
                return None
            ticket, publication = event
            return Parcel(publication, ticket)

    def settle(self, parcel: Parcel, refusal: str | None = None) -> None:
        """A parcel has arrived, or the broker refused it."""
        with self._settled:
            if parcel.ticket is None:
                self._states_under_way -= 1
            elif refusal is None:
                self._outbox.acknowledge(parcel.ticket)
            else:
                self._outbox.refuse(parcel.ticket, refusal)
            self._settled.notify_all()

    def contradict(self, availability: bytes) -> None:
        """Some value was published as our availability: where it is an earlier session's will, tell ours again."""
        with self._settled:
            ours = self._topics.availability(online=self._online)
            if self._online and availability != ours.payload:
                self._board.reassert(ours.topic)

    def remaining_s(self) -> float | None:
        """Seconds until the shown emotion expires, which makes a new state; None where nothing is to come."""
        with self._settled:
            return self._hold.remaining_s(self._clock())

    def wait_settled(self, timeout_s: float) -> bool:
        """Wait until everything accepted has arrived or is lost.

        Returns:
            Whether that was so in time.
        """
        with self._settled:
            return self._settled.wait_for(lambda: not len(self._outbox) and self._states_are_settled(), timeout_s)

    def _states_are_settled(self) -> bool:
        return not self._board.unsent and not self._states_under_way

    def close(self) -> None:
        """Accept nothing more, hand out no more events, and have ``offline`` told."""
        with self._settled:
            self._closed = True
            self._online = False
            self._board.put(self._topics.availability(online=False))

    def may_leave(self) -> bool:
        """Whether, once closed, all that was handed out has been acknowledged."""
        with self._settled:
            return self._closed and not self._outbox.under_way and self._states_are_settled()

    def abandon(self) -> int:
        """Count every event that is left as lost.

        Returns:
            How many those were.
        """
        with self._settled:
            left = self._outbox.abandon(CLOSED)
            self._settled.notify_all()
            return left

    @property
    def waiting(self) -> int:
        """Events that wait or are under way."""
        with self._settled:
            return len(self._outbox)

    @property
    def losses(self) -> Mapping[str, int]:
        """How many events were lost, by reason."""
        with self._settled:
            return self._outbox.losses

    @property
    def lost(self) -> int:
        """How many events were lost."""
        with self._settled:
            return self._outbox.lost
