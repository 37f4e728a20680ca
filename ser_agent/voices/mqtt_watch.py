"""Listens to some topics of a broker in a thread of its own, and comes back whenever the broker does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from ser_agent.backoff import Backoff
from ser_agent.sinks.mqtt_client import Connection
from ser_agent.sinks.mqtt_thread import BrokerThread
from ser_agent.sinks.mqtt_visits import Wanted, ask_version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ser_agent.sinks.mqtt_options import Endpoint

log = logging.getLogger(__name__)

RETRY_MOST_S = 15.0
STOP_S = 2.0


class Take(Protocol):
    """Takes a message, in the watch's thread, and returns at once."""

    def __call__(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Take it."""


class MqttWatch(BrokerThread):
    """Hears what is published on some topics."""

    def __init__(
        self, endpoint: Endpoint, version: Wanted, topics: Sequence[str], take: Take, lose: Callable[[], None]
    ) -> None:
        """Prepare.

        Args:
            endpoint: the broker.
            version: which MQTT to speak.
            topics: what to subscribe to.
            take: takes each message.
            lose: called whenever the connection is lost.
        """
        super().__init__(
            "mqtt-watch", f"MQTT broker {endpoint.address}", Backoff(RETRY_MOST_S), ends_within_s=STOP_S
        )
        self._endpoint = endpoint
        self._version = version
        self._topics = topics
        self._take = take
        self._lose = lose

    def _go_down(self) -> None:
        if not self._stopping.is_set():
            self._lose()
        super()._go_down()

    def _serve(self) -> None:
        version = ask_version(self._endpoint, self._version)
        connection = Connection(self._endpoint, version, on_message=self._received)
        try:
            connection.connect()
            connection.subscribe(self._topics)
            self._come_up(f"listening to {', '.join(self._topics)}")
            while not self._stopping.is_set():
                connection.step(1.0, wake=self._bell.out)
                self._forgive()
            connection.close(timeout_s=0.5)
        finally:
            connection.drop()

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - as the client calls it
        try:
            self._take(topic, payload, retained=retained)
        except Exception:
            log.exception("%s: a message on %s could not be taken in", self._whom, topic)
