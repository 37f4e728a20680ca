"""A worker's connection, in a thread of its own: it comes back whenever the broker does."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ser_agent.errors import SinkError
from ser_agent.fleet_wire import encode_reply
from ser_agent.sinks.mqtt_client import CONNECT_TIMEOUT_S, ConnectionFailed
from ser_agent.sinks.mqtt_topics import Publication
from ser_agent.sinks.mqtt_work import Headers, WorkConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.backoff import Backoff
    from ser_agent.bell import Bell
    from ser_agent.fleet.desk import Desk, Letter
    from ser_agent.sinks.mqtt_options import Endpoint
    from ser_agent.sinks.mqtt_work import Delivery

log = logging.getLogger(__name__)

STABLE_S: Final = 10.0
"""A connection that held this long was a success: the back-off starts anew, and faults are told again."""
SUSPICIOUS: Final = 3
"""So many connections in a row that did not hold that long are probably another worker of the same name."""
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


class Link:
    """Connects, brings the desk its work and the broker its answers, and reconnects, until told to leave.

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
        self.connected = False
        self._desk = desk
        self._place = place
        self._bell = bell
        self._backoff = backoff
        self._short_lived = 0
        self._told: set[str] = set()
        self._under_way: dict[int, Letter | None] = {}
        self._leaving = threading.Event()
        self._drain_s = DRAIN_S
        self._flushing: deque[threading.Event] = deque()
        self._thread = threading.Thread(target=self._run, name="fleet-link", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def leave(self, drain_s: float | None = None) -> None:
        """Take nothing more on, see to what is here, take leave; all that within a few seconds.

        Args:
            drain_s: how long at most what is here is seen to; None: ``DRAIN_S``.
        """
        self._drain_s = DRAIN_S if drain_s is None else drain_s
        self._leaving.set()
        self._bell.ring()
        self._thread.join(DRAIN_S + 2 * FAREWELL_S + CONNECT_TIMEOUT_S)
        if self._thread.is_alive():  # in a look-up of the name, which nothing can end: the thread dies with it
            log.warning("MQTT broker %s: gave up waiting for the connection to end", self._place.address)

    @property
    def alive(self) -> bool:
        """Whether it connects, or is connected."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._leaving.is_set():
                try:
                    self._serve(self._connect())
                except SinkError as failure:
                    self._tell(f"{failure}; trying again until it works")
                except Exception:
                    log.exception("MQTT broker %s: unexpected fault, reconnecting", self._place.address)
                self._leaving.wait(self._backoff.next_s())
        finally:
            self._bell.close()

    def _tell(self, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            log.warning("MQTT broker %s: %s", self._place.address, reason)

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
            log.exception(
                "MQTT broker %s: unexpected fault with a message, which is left out", self._place.address
            )
            delivery.acknowledge()

    def _serve(self, connection: WorkConnection) -> None:
        stable_at_s = time.monotonic() + STABLE_S
        try:
            self._begin(connection)
            while not self._leaving.is_set():
                self._exchange(connection, 1.0)
                if self._short_lived or self._told:
                    self._forgive(stable_at_s)
            self._finish(connection)
        finally:
            self.connected = False
            connection.drop()
            self._take_back()
            self._short_lived += 1
            self._forgive(stable_at_s)

    def _begin(self, connection: WorkConnection) -> None:
        place = self._place
        connection.subscribe([place.subscription])
        self._await(connection, lambda: connection.subscribed, CONNECT_TIMEOUT_S)
        if connection.refused or not connection.subscribed:
            raise ConnectionFailed(f"it does not let us have work ({place.subscription})")
        self._say(connection, place.presence)
        self.connected = True
        level = logging.DEBUG if self._short_lived else logging.INFO
        log.log(level, "MQTT broker %s: connected, taking work from %s", place.address, place.subscription)
        if self._short_lived == SUSPICIOUS:
            self._tell("no connection lasts: does another worker have the same name?")

    def _finish(self, connection: WorkConnection) -> None:
        connection.unsubscribe([self._place.subscription])
        self._await(connection, lambda: connection.unsubscribed and self._desk.idle, self._drain_s)
        self._say(connection, b"")
        self._await(connection, lambda: None not in self._under_way.values(), FAREWELL_S)
        connection.close(FAREWELL_S)

    def _await(self, connection: WorkConnection, condition: Callable[[], bool], timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not condition() and (remaining_s := deadline_s - time.monotonic()) > 0:
            self._exchange(connection, remaining_s)

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
        ask, remaining_s = letter.task.ask, letter.task.remaining_s
        expires_s = None if remaining_s is None else max(1, math.ceil(remaining_s))
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

    def _forgive(self, stable_at_s: float) -> None:
        """Once a connection has held, faults before it are history: they would be worth telling again."""
        if time.monotonic() > stable_at_s:
            self._short_lived = 0
            self._told.clear()
            self._backoff.reset()
