"""The connection to the broker that the satellites talk through, in a thread of its own."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from ser_agent.bell import Bell
from ser_agent.errors import SourceError, SourceLost
from ser_agent.sinks.mqtt_client import CONNECT_TIMEOUT_S, Connection, ConnectionFailed
from ser_agent.sinks.mqtt_visits import Wanted, ask_version
from ser_agent.sources.hermes_inflow import Arrival
from ser_agent.sources.hermes_names import LONGEST_RAW
from ser_agent.text import is_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ser_agent.sinks.mqtt_options import Endpoint

log = logging.getLogger(__name__)

AUDIO: Final = "hermes/audioServer/{}/audioFrame"
STARTED: Final = "hermes/dialogueManager/sessionStarted"
ENDED: Final = "hermes/dialogueManager/sessionEnded"
LONGEST_JSON: Final = 16_384
LONGEST_SESSION_ID: Final = 128
MOST_SESSIONS: Final = 256
SESSION_S: Final = 300.0
"""A session whose end got lost is over after that."""
STOP_S: Final = 2.0


class Sessions:
    """Which session of the voice assistant is open at which satellite."""

    def __init__(self) -> None:
        """Begin with none."""
        self._open: dict[str, tuple[str, float]] = {}

    def note(self, payload: bytes, *, started: bool, now_s: float) -> None:
        """Take down that one was started or has ended; what makes no sense is passed over."""
        name, session = _ids(payload)
        if name is None:
            return
        opened = self._open.pop(name, None)
        if started and session is not None:
            if len(self._open) >= MOST_SESSIONS:
                del self._open[next(iter(self._open))]
            self._open[name] = (session, now_s)
        elif opened is not None and session not in {None, opened[0]}:
            self._open[name] = opened  # it is another one that has ended

    def at(self, name: str, now_s: float) -> str | None:
        """The one that is open at a satellite, if any."""
        session, since_s = self._open.get(name, (None, 0.0))
        return session if now_s - since_s < SESSION_S else None


def _ids(payload: bytes) -> tuple[str | None, str | None]:
    """``siteId`` and ``sessionId``; None for what is not a text of sensible length."""
    if len(payload) > LONGEST_JSON:
        return None, None
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(fields, dict):
        return None, None
    name, session = fields.get("siteId"), fields.get("sessionId")
    return (
        name if isinstance(name, str) and 0 < len(name) <= LONGEST_RAW and is_writable(name) else None,
        session
        if isinstance(session, str) and 0 < len(session) <= LONGEST_SESSION_ID and is_writable(session)
        else None,
    )


class HermesLink:
    """Takes down what the satellites say until it is stopped, or the broker goes."""

    def __init__(
        self,
        endpoint: Endpoint,
        version: Wanted,
        sites: Sequence[str],
        take: Callable[[Arrival], None],
        fail: Callable[[SourceError], None],
    ) -> None:
        """Prepare.

        Args:
            endpoint: the broker.
            version: which MQTT to speak.
            sites: the satellites' ``siteId``; ``+`` for all.
            take: takes a message with sound, and returns at once.
            fail: called once, where the broker goes.
        """
        self._endpoint = endpoint
        self._wanted = version
        self._topics = [AUDIO.format(site) for site in sites]
        self._take = take
        self._fail = fail
        self._sessions = Sessions()
        self._connection: Connection | None = None
        self._stopping = threading.Event()
        self._bell = Bell()
        self._thread = threading.Thread(target=self._run, name="hermes", daemon=True)

    def start(self) -> None:
        """Connect, and take down from now on.

        Raises:
            SourceError: the broker cannot be had.
        """
        try:
            version = ask_version(self._endpoint, self._wanted)
            self._connection = Connection(self._endpoint, version, on_message=self._received)
            self._connection.connect()
            self._subscribe(self._connection)
        except ConnectionFailed as failure:
            self._bell.close()
            raise SourceError(f"Hermes broker {self._endpoint.address}: {failure}") from failure
        log.info("Hermes broker %s: connected, MQTT %s", self._endpoint.address, version)
        self._thread.start()

    def _subscribe(self, connection: Connection) -> None:
        connection.subscribe(self._topics, qos=0)
        connection.subscribe([STARTED, ENDED])
        deadline_s = time.monotonic() + CONNECT_TIMEOUT_S
        while not connection.subscribed:
            if (remaining_s := deadline_s - time.monotonic()) <= 0:
                connection.drop()
                raise ConnectionFailed("it does not answer a subscription")
            connection.step(remaining_s)

    def stop(self) -> None:
        """Take leave."""
        self._stopping.set()
        self._bell.ring()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            while not self._stopping.is_set():
                connection.step(1.0, wake=self._bell.out)
            connection.close(timeout_s=0.5)
        except ConnectionFailed as failure:
            self._fail(SourceLost(f"Hermes broker {self._endpoint.address}: {failure}"))
        except Exception as error:
            log.exception("Hermes broker %s: unexpected fault", self._endpoint.address)
            self._fail(SourceLost(f"Hermes broker {self._endpoint.address}: {type(error).__name__}: {error}"))
        finally:
            connection.drop()
            self._bell.close()

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - as the client calls it
        now_s = time.monotonic()
        if topic in {STARTED, ENDED}:
            self._sessions.note(payload, started=topic == STARTED, now_s=now_s)
            return
        name = topic.split("/")[2]
        if not retained and 0 < len(name) <= LONGEST_RAW:
            self._take(Arrival(name, payload, now_s, self._sessions.at(name, now_s)))
