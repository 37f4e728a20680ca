"""A worker's connection, in a thread of its own: it comes back whenever the broker does."""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from ser_agent.fleet_wire import encode_reply
from ser_agent.sinks.mqtt_client import CONNECT_TIMEOUT_S, ConnectionFailed
from ser_agent.sinks.mqtt_thread import BrokerThread
from ser_agent.sinks.mqtt_topics import Publication
from ser_agent.sinks.mqtt_work import Headers, WorkConnection

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from ser_agent.backoff import Backoff
    from ser_agent.bell import Bell
    from ser_agent.fleet.desk import Desk, Letter
    from ser_agent.sinks.mqtt_options import Endpoint
    from ser_agent.sinks.mqtt_work import Delivery

log = logging.getLogger(__name__)

DRAIN_S: Final = 5.0
"""How long what was begun with is seen to at the end."""
FAREWELL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker works.

    Attributes:
        endpoint: gives the broker, with secrets and certificates read anew for each attempt: they change.
        address: host and port, for the log.
        subscription: what it takes its work from.
        presence_topic: where it says that it is there.
        presence: what it says.
        receive_maximum: so many utterances the broker may have under way to it at a time.
    """

    endpoint: Callable[[], Endpoint]
    address: str
    subscription: str
    presence_topic: str
    presence: bytes
    receive_maximum: int


class Link(BrokerThread):
    """Brings the desk its work and the broker its answers, until told to leave.

    Attributes:
        connected: whether work can come.
    """

    def __init__(self, desk: Desk, place: Place, bell: Bell, backoff: Backoff) -> None:
        """Prepare; the thread begins with ``start``.

        Args:
            desk: decides.
            place: the broker, and what is taken from it.
            bell: wakes this thread; released at its end.
            backoff: how long to wait between two attempts.
        """
        super().__init__(
            "fleet-link",
            f"MQTT broker {place.address}",
            backoff,
            ends_within_s=DRAIN_S + 2 * FAREWELL_S + CONNECT_TIMEOUT_S,
            bell=bell,
        )
        self.connected = False
        self._desk = desk
        self._place = place
        self._under_way: dict[int, Letter | None] = {}
        self._drain_s = DRAIN_S
        self._flushing: deque[threading.Event] = deque()

    def leave(self, drain_s: float | None = None) -> None:
        """Take nothing more on, see to what is here, take leave; all that within a few seconds.

        Args:
            drain_s: how long at most what is here is seen to; None: ``DRAIN_S``.
        """
        self._drain_s = DRAIN_S if drain_s is None else drain_s
        self.stop()

    def _connect(self) -> WorkConnection:
        place = self._place
        connection = WorkConnection(
            place.endpoint(),
            on_delivery=self._deliver,
            on_acknowledged=self._acknowledged,
            will=Publication(place.presence_topic, b"", 1, retain=True),
            receive_maximum=place.receive_maximum,
        )
        connection.connect()
        return connection

    def _deliver(self, delivery: Delivery) -> None:
        try:
            self._desk.receive(delivery)
        except Exception:  # who ended the connection now would get the same message again, or another worker would
            log.exception("%s: unexpected fault with a message, which is left out", self._whom)
            delivery.acknowledge()

    def _serve(self) -> None:
        connection = self._connect()
        try:
            self._begin(connection)
            while not self._stopping.is_set():
                self._exchange(connection, 1.0)
                self._forgive()
            self._finish(connection)
        finally:
            self.connected = False
            connection.drop()
            self._take_back()

    def _begin(self, connection: WorkConnection) -> None:
        place = self._place
        connection.subscribe([place.subscription])
        self._await(connection, lambda: connection.subscribed, CONNECT_TIMEOUT_S)
        if connection.refused or not connection.subscribed:
            raise ConnectionFailed(f"it does not let us have work ({place.subscription})")
        self._say(connection, place.presence)
        self.connected = True
        self._come_up(
            f"connected, taking work from {place.subscription}", "does another worker have the same name?"
        )

    def _finish(self, connection: WorkConnection) -> None:
        connection.unsubscribe([self._place.subscription])
        self._await(connection, lambda: connection.unsubscribed and self._desk.idle, self._drain_s)
        self._say(connection, b"")
        self._await(connection, lambda: None not in self._under_way.values(), FAREWELL_S)
        connection.close(FAREWELL_S)

    def _await(self, connection: WorkConnection, condition: Callable[[], bool], timeout_s: float) -> None:
        self._step_until(condition, partial(self._exchange, connection), timeout_s)

    def _say(self, connection: WorkConnection, presence: bytes) -> None:
        number = connection.send(Publication(self._place.presence_topic, presence, 1, retain=True))
        self._under_way[number] = None

    def _exchange(self, connection: WorkConnection, timeout_s: float) -> None:
        self._desk.take_in()
        self._send_letters(connection)
        self._send_beginnings(connection)
        connection.step(timeout_s, wake=self._bell.out)
        self._bell.hush()

    def _send_beginnings(self, connection: WorkConnection) -> None:
        """Say what is begun with, behind all answers: who dies of it takes nothing along that was done."""
        while self._desk.beginnings and not self._desk.letters:
            beginning = self._desk.beginnings.popleft()
            for letter in () if beginning.told.is_set() else beginning.replies:
                self._send(connection, letter, qos=0)
            self._flushing.append(beginning.told)
        while self._flushing and not connection.congested:
            self._flushing.popleft().set()

    def _send_letters(self, connection: WorkConnection) -> None:
        while self._desk.letters and not connection.congested and len(self._under_way) < connection.window:
            letter = self._desk.letters.popleft()
            if letter.task.expired:
                self._desk.give_up(letter)
            else:
                self._under_way[self._send(connection, letter, qos=1)] = letter

    def _send(self, connection: WorkConnection, letter: Letter, *, qos: int) -> int:
        ask = letter.task.ask
        expires_s = max(1, math.ceil(letter.task.remaining_s))
        publication = Publication(ask.response_topic, encode_reply(letter.reply), 1 if qos else 0, retain=False)
        headers = Headers("application/json", correlation=ask.id.encode(), expires_s=expires_s)
        return connection.send_with(publication, headers)

    def _acknowledged(self, number: int, refusal: str | None) -> None:
        letter = self._under_way.pop(number, None)
        if refusal is not None:
            where = self._place.presence_topic if letter is None else letter.task.ask.response_topic
            self._tell(f"it refuses what is published on {where} ({refusal})")
        if letter is not None:
            self._desk.settle(letter)

    def _take_back(self) -> None:
        """What the broker has not acknowledged is to be sent over the next connection."""
        letters = [letter for letter in self._under_way.values() if letter is not None]
        self._under_way.clear()
        self._desk.letters.extendleft(reversed(letters))
