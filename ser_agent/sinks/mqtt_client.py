"""One connection to an MQTT broker. Only this module and ``mqtt_work`` import paho.

A ``Connection`` lives in one thread, from connecting to its end, and is never reused: what has to survive the
broker is kept outside of it. So paho never queues for a broker that is away, and has no say in reconnecting.
"""

from __future__ import annotations

import errno
import logging
import select
import time
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ser_agent.errors import SinkError
from ser_agent.sinks.mqtt_failures import explain

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from paho.mqtt.reasoncodes import ReasonCode

    from ser_agent.sinks.mqtt_options import Endpoint
    from ser_agent.sinks.mqtt_topics import Publication

log = logging.getLogger(__name__)

Version: TypeAlias = Literal["5", "3.1.1"]

CONNECT_TIMEOUT_S = 5.0
STEP_S = 1.0
"""Longest wait for the network between two looks at the keep-alive."""
LONGEST_PACKET = 65_536
"""A longer message from the broker is not read. Commands have a few bytes."""
WINDOW = 10
"""Publications under way at a time, unless the broker allows fewer."""
_VERSIONS = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}
_REFUSED_CREDENTIALS = {"Not authorized", "Bad user name or password"}


class ConnectionFailed(SinkError):  # noqa: N818 - an occurrence, not a mistake
    """No connection came about, or it ended: the message is the reason, without the broker's name."""


class VersionInDoubt(ConnectionFailed):
    """The broker does not speak this version of MQTT, or may not: it hung up, or did not answer."""


class _Frugal(Client):
    """Ends the connection rather than take in a packet of up to 256 MiB.

    Of MQTT 5 brokers the limit is asked for at connecting. In MQTT 3.1.1 there is none, and in paho neither.
    """

    longest_packet = LONGEST_PACKET

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > self.longest_packet:
            raise OSError(errno.EMSGSIZE, f"a message of more than {self.longest_packet // 1024} KiB")
        return super()._sock_recv(bufsize)


class Connection:
    """A connection to a broker, driven by calls of ``step`` from the one thread that owns it."""

    _longest_packet = LONGEST_PACKET
    _acknowledges_by_hand = False

    def __init__(
        self,
        endpoint: Endpoint,
        version: Version,
        *,
        will: Publication | None = None,
        on_acknowledged: Callable[[int, str | None], None] = lambda _mid, _refusal: None,
        on_message: Callable[[str, bytes, bool], None] = lambda _topic, _payload, _retained: None,
    ) -> None:
        """Prepare; nothing is sent before ``connect``.

        Args:
            endpoint: the broker.
            version: which MQTT to speak.
            will: what the broker publishes when this connection breaks.
            on_acknowledged: called from ``step`` with the number that ``send`` gave and, where the broker
                refused the publication, its reason.
            on_message: called from ``step`` with topic and payload of what was subscribed to, and whether the
                broker had kept it from before the subscription.
        """
        self.version = version
        self.window = WINDOW
        self._endpoint = endpoint
        self._on_acknowledged = on_acknowledged
        self._on_message = on_message
        self._accepted = False
        self._failure: ConnectionFailed | None = None
        self._detail = ""
        self._subscribing: dict[int, Sequence[str]] = {}
        self._client = client = _Frugal(
            CallbackAPIVersion.VERSION2,
            client_id=endpoint.client_id,
            protocol=_VERSIONS[version],
            transport=endpoint.transport,
            reconnect_on_failure=False,
            manual_ack=self._acknowledges_by_hand,
        )
        client.longest_packet = self._longest_packet
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.username_pw_set(endpoint.username, endpoint.password)
        if endpoint.tls is not None:
            client.tls_set_context(endpoint.tls)
        if endpoint.transport == "websockets":
            client.ws_set_options(path=endpoint.path)
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        client.on_log = self._logged

    def connect(self, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        """Connect and wait for the broker's consent.

        Raises:
            ConnectionFailed: it was not to be had; the connection is of no use any more.
        """
        deadline_s = time.monotonic() + timeout_s
        self._client.connect_timeout = max(0.1, min(timeout_s, CONNECT_TIMEOUT_S))
        where = (self._endpoint.host, self._endpoint.port, self._endpoint.keepalive_s)
        try:
            self._client.connect(*where, properties=self._limits())
            self._await_consent(deadline_s)
        except OSError as error:
            self.drop()
            raise ConnectionFailed(explain(error, self._endpoint)) from error
        except ConnectionFailed:
            self.drop()
            raise

    def _limits(self) -> Properties | None:
        """What the broker is asked to keep to."""
        if self.version != "5":
            return None
        limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        limits.MaximumPacketSize = self._longest_packet
        return limits

    def _await_consent(self, deadline_s: float) -> None:
        while not self._accepted:
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0:
                raise VersionInDoubt("it accepts connections but does not answer")
            self.step(remaining_s)

    def subscribe(self, topics: Sequence[str], qos: int = 1) -> None:
        """Ask for some topics' messages, retained ones first."""
        _, number = self._client.subscribe([(topic, qos) for topic in topics])
        if number is not None:
            self._subscribing[number] = topics

    @property
    def subscribed(self) -> bool:
        """Whether the broker has answered all that was asked of it."""
        return not self._subscribing

    def send(self, publication: Publication) -> int:
        """Send a publication, or have it sent by the next steps.

        Returns:
            The number under which one of QoS 1 will be acknowledged.
        """
        info = self._client.publish(publication.topic, publication.payload, publication.qos, publication.retain)
        return info.mid

    @property
    def congested(self) -> bool:
        """Whether the network has yet to take what was sent before."""
        return self._client.want_write()

    def step(self, timeout_s: float, wake: socket.socket | None = None) -> None:
        """Wait for the network, do what it brings and see to the keep-alive.

        Args:
            timeout_s: longest wait, seconds.
            wake: ends the wait when it becomes readable.

        Raises:
            ConnectionFailed: the connection is lost, or was refused.
        """
        sock = self._client.socket()
        if sock is not None:
            ready = self._poll(sock, min(timeout_s, STEP_S), wake)
            try:
                if ready & (select.POLLIN | select.POLLHUP | select.POLLERR):
                    self._client.loop_read()
                if ready & select.POLLOUT:
                    self._client.loop_write()
                self._client.loop_misc()
            except ValueError as error:  # paho: a malformed packet
                raise ConnectionFailed(f"it does not speak MQTT {self.version}: {error}") from error
        if self._failure is not None:
            raise self._failure
        if self._client.socket() is None:
            raise ConnectionFailed("the connection is closed")

    def _poll(self, sock: Any, timeout_s: float, wake: socket.socket | None) -> int:  # noqa: ANN401 - paho's own kind
        pending: Callable[[], int] | None = getattr(sock, "pending", None)
        if pending is not None and pending():
            timeout_s = 0.0  # bytes that the TLS layer has read already: the kernel knows nothing of them
        poll = select.poll()
        poll.register(sock, select.POLLIN | (select.POLLOUT if self._client.want_write() else 0))
        if wake is not None:
            poll.register(wake, select.POLLIN)
        ready = dict(poll.poll(timeout_s * 1000))
        return ready.get(sock.fileno(), 0) | (select.POLLIN if pending is not None and pending() else 0)

    def close(self, timeout_s: float = 1.0) -> None:
        """Take leave, so that the broker does not publish the will, as far as that can be done in time."""
        self._client.disconnect()
        deadline = time.monotonic() + timeout_s
        while self._client.socket() is not None and (remaining_s := deadline - time.monotonic()) > 0:
            try:
                self.step(remaining_s)
            except ConnectionFailed:
                break
        self.drop()

    def drop(self) -> None:
        """Close the socket without taking leave."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _connected(
        self,
        _client: Client,
        _data: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        name = reason.getName()
        if not reason.is_failure:
            self._accepted = True
            self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        elif name == "Unsupported protocol version":
            self._failure = VersionInDoubt(f"it does not speak MQTT {self.version}")
        elif name in _REFUSED_CREDENTIALS:
            who = f"user name {self._endpoint.username!r} or its password" if self._endpoint.username else "us"
            self._failure = ConnectionFailed(f"it refuses {who} ({name.lower()})")
        else:
            self._failure = ConnectionFailed(f"it refuses the connection ({name.lower()})")

    def _disconnected(
        self, _client: Client, _data: object, flags: DisconnectFlags, reason: ReasonCode, _props: Properties | None
    ) -> None:
        if self._failure is not None:
            return
        if flags.is_disconnect_packet_from_server:
            self._failure = ConnectionFailed(f"it ended the connection ({reason.getName().lower()})")
        elif self._accepted:
            self._failure = ConnectionFailed(f"the connection was lost{self._detail}")
        else:
            hint = ": does it want a client certificate?" if self._endpoint.tls is not None else ""
            self._failure = VersionInDoubt(f"it closed the connection without an answer{hint}")

    def _published(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, _props: Properties | None
    ) -> None:
        self._on_acknowledged(mid, reason.getName().lower() if reason.is_failure else None)

    def _subscribed(
        self, _client: Client, _data: object, mid: int, reasons: list[ReasonCode], _props: Properties | None
    ) -> None:
        for topic, reason in zip(self._subscribing.pop(mid, ()), reasons, strict=False):
            if reason.is_failure:
                log.warning("the MQTT broker does not let us hear %s (%s)", topic, reason.getName().lower())

    def _received(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # a topic that MQTT does not allow is none of ours
        self._on_message(topic, bytes(message.payload), message.retain)

    def _logged(self, _client: Client, _data: object, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self._detail = f" ({text})"
