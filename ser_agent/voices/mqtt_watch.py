"""Listens to some topics of a broker in a thread of its own, and comes back whenever the broker does."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Protocol

from ser_agent.backoff import Backoff
from ser_agent.bell import Bell
from ser_agent.sinks.mqtt_client import Connection, ConnectionFailed
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


class MqttWatch:
    """Hears what is published on some topics until stopped."""

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
        self._endpoint = endpoint
        self._version = version
        self._topics = topics
        self._take = take
        self._lose = lose
        self._stopping = threading.Event()
        self._bell = Bell()
        self._thread = threading.Thread(target=self._run, name="mqtt-watch", daemon=True)

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """Take leave."""
        self._stopping.set()
        self._bell.ring()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        backoff = Backoff(RETRY_MOST_S)
        told = ""
        with self._bell:
            while not self._stopping.is_set():
                try:
                    self._listen(backoff)
                except ConnectionFailed as failure:
                    if str(failure) != told:
                        log.warning("MQTT broker %s: %s", self._endpoint.address, failure)
                    told = str(failure)
                    self._lose()
                    self._stopping.wait(0.2 + backoff.next_s())

    def _listen(self, backoff: Backoff) -> None:
        """Connect, and hear until stopped.

        Raises:
            ConnectionFailed: there is no connection, or it was lost.
        """
        version = ask_version(self._endpoint, self._version)
        connection = Connection(self._endpoint, version, on_message=self._received)
        try:
            connection.connect()
            connection.subscribe(self._topics)
            log.info("MQTT broker %s: listening to %s", self._endpoint.address, ", ".join(self._topics))
            backoff.reset()
            while not self._stopping.is_set():
                connection.step(1.0, wake=self._bell.out)
            connection.close(timeout_s=0.5)
        finally:
            connection.drop()

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - as the client calls it
        try:
            self._take(topic, payload, retained=retained)
        except Exception:
            log.exception("MQTT broker %s: a message on %s could not be taken in", self._endpoint.address, topic)
