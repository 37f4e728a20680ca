"""The thread that brings a mailbox's contents to the broker, and comes back whenever the broker does."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from ser_agent.errors import SinkError
from ser_agent.sinks.mqtt_client import CONNECT_TIMEOUT_S, Connection, VersionInDoubt
from ser_agent.sinks.mqtt_thread import BrokerThread
from ser_agent.sinks.mqtt_visits import Wanted, answers, as_visitor, ask_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.backoff import Backoff
    from ser_agent.sinks.mqtt_client import Version
    from ser_agent.sinks.mqtt_inbox import Inbox
    from ser_agent.sinks.mqtt_mailbox import Mailbox, Parcel
    from ser_agent.sinks.mqtt_options import Endpoint
    from ser_agent.sinks.mqtt_topics import Publication

log = logging.getLogger(__name__)

STAND_BACK_S = 60.0
"""How often an agent that stands back looks whether the other is still there."""
MOST_TOLD = 64
"""Topics that the broker refuses are named as long as there are no more."""
FAREWELL_S = 2.0
"""How long the last acknowledgements are waited for."""


class Courier(BrokerThread):
    """Delivers, and takes a last word to the broker at the end, where there is one.

    Attributes:
        attempts: how often a connection was tried.
        connection: the one that is up, if any.
    """

    def __init__(  # noqa: PLR0913 - made in one place, of parts that have nothing to do with each other
        self,
        mailbox: Mailbox,
        inbox: Inbox,
        *,
        endpoint: Callable[[], Endpoint],
        broker: str,
        will: Publication,
        version: Wanted,
        backoff: Backoff,
    ) -> None:
        """Prepare; the thread begins with ``start``.

        Args:
            mailbox: what to deliver.
            inbox: takes what the broker delivers.
            endpoint: gives the broker, with secrets and certificates read anew for each attempt: they change.
            broker: host and port, for the log.
            will: the last will, on the availability topic.
            version: which MQTT to speak.
            backoff: how long to wait between two attempts.
        """
        super().__init__(
            "mqtt-courier", f"MQTT broker {broker}", backoff, ends_within_s=FAREWELL_S + CONNECT_TIMEOUT_S
        )
        self._mailbox = mailbox
        self._inbox = inbox
        self._endpoint = endpoint
        self._will = will
        self._wanted = version
        self._version: Version | None = None if version == "auto" else version
        self.attempts = 0
        self.connection: Connection | None = None
        self._refused_topics: set[str] = set()
        self._under_way: dict[int, Parcel] = {}

    def _pause(self) -> None:
        if self._inbox.has_elder:
            self._stand_back()
        else:
            super()._pause()

    def _stand_back(self) -> None:
        """Leave our topics to an elder agent with the same site for as long as it answers."""
        while not self._stopping.wait(STAND_BACK_S):
            try:
                visitor = as_visitor(self._endpoint())
                if not answers(visitor, ask_version(visitor, self._wanted), self._inbox.topics):
                    log.info("%s: the other agent has gone", self._whom)
                    self._inbox.dismiss_elder()
                    self._backoff.reset()
                    return
            except SinkError as failure:  # the broker is away, or its password has changed: nobody knows
                self._tell(str(failure))

    def _connect(self) -> Connection:
        self.attempts += 1
        endpoint = self._endpoint()
        if self._version is None:
            self._version = ask_version(endpoint, self._wanted)
        connection = Connection(
            endpoint,
            self._version,
            will=self._will,
            on_acknowledged=self._acknowledged,
            on_message=lambda topic, payload, retained: self._inbox.receive(topic, payload, retained=retained),
        )
        try:
            connection.connect()
        except VersionInDoubt:
            if self._wanted == "auto":
                self._version = None
            raise
        self._come_up(
            f"connected, MQTT {connection.version}",
            f"does another client use the identifier {endpoint.client_id!r}, too?",
        )
        return connection

    def _serve(self) -> None:
        self.connection = connection = self._connect()
        self._under_way.clear()
        connection.subscribe(self._inbox.subscriptions)
        self._inbox.begin_session()
        try:
            while not self._stopping.is_set():
                self._exchange(connection)
                if self._inbox.has_elder:
                    self._give_way(connection)
                    return
                self._forgive()
            self._leave(connection)
        finally:
            self.connection = None
            connection.drop()

    def _exchange(self, connection: Connection, timeout_s: float | None = None) -> None:
        self._send(connection)
        if timeout_s is None:
            timeout_s = self._mailbox.remaining_s()
        connection.step(1.0 if timeout_s is None else timeout_s, wake=self._bell.out)
        self._bell.hush()

    def _send(self, connection: Connection) -> None:
        while not connection.congested and len(self._under_way) < connection.window:
            parcel = self._mailbox.collect()
            if parcel is None:
                return
            number = connection.send(parcel.publication)
            if parcel.publication.qos == 0:
                self._mailbox.settle(parcel)
            else:
                self._under_way[number] = parcel

    def _acknowledged(self, number: int, refusal: str | None) -> None:
        parcel = self._under_way.pop(number, None)
        if parcel is None:
            return
        topic = parcel.publication.topic
        if refusal is not None and topic not in self._refused_topics and len(self._refused_topics) < MOST_TOLD:
            self._refused_topics.add(topic)
            log.warning("%s: it refuses what is published on %s (%s)", self._whom, topic, refusal)
        if refusal is None:
            self._inbox.note_arrived(parcel.publication)
        self._mailbox.settle(parcel, refusal)

    def _give_way(self, connection: Connection) -> None:
        """Take leave once all that was sent has arrived, or the time is up: the elder is to hear of us."""
        self._step_until(lambda: not self._under_way, connection.step, FAREWELL_S)
        connection.close()

    def _leave(self, connection: Connection) -> None:
        self._step_until(self._mailbox.may_leave, partial(self._exchange, connection), FAREWELL_S)
        connection.close()
