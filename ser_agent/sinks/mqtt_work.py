"""A connection that carries work: MQTT 5 properties, messages acknowledged once they are done with, long packets.

Like any other ``Connection`` it lives in one thread, which also calls what it gives away.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ser_agent.sinks.mqtt_client import CONNECT_TIMEOUT_S, Connection, VersionInDoubt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

    from ser_agent.sinks.mqtt_options import Endpoint
    from ser_agent.sinks.mqtt_topics import Publication

LONGEST_WORK: Final = 2 * 1024 * 1024
"""A longer message is not read. A minute of speech has a megabyte as FLAC, at most two in any case."""
_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)
MOST_EXPIRY_S: Final = 2**32 - 1
NOBODY_LISTENS: Final = 0x10
"""MQTT's reason code for a publication without a subscriber."""
MOST_AT_ONCE: Final = 65_535
"""The highest receive maximum that MQTT can tell, and what holds where none is told."""


@dataclass(frozen=True, slots=True)
class Headers:
    """What MQTT 5 lets a message say of itself.

    Attributes:
        content_type: of the payload.
        response_topic: where an answer is expected.
        correlation: comes back with the answer.
        expires_s: after so long, in whole seconds, the broker need not deliver it; counted down by the broker.
        user: anything else, by name. Where a name was given twice, the last one.
    """

    content_type: str | None = None
    response_topic: str | None = None
    correlation: bytes = b""
    expires_s: int | None = None
    user: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message from the broker.

    Attributes:
        topic: where it was published.
        payload: what was.
        retained: whether the broker had kept it from before the subscription.
        headers: its properties.
        acknowledge: tells the broker that it is done with; to be called in the connection's thread. Until then it
            counts against the receive maximum, and it is not lost with the connection, as far as the broker
            keeps sessions. A second call does nothing, nor does one after the connection's end.
    """

    topic: str
    payload: bytes
    retained: bool
    headers: Headers
    acknowledge: Callable[[], None]


class WorkConnection(Connection):
    """A connection for messages that are work. It speaks MQTT 5 alone.

    Attributes:
        longest_packet: of the packets that the broker takes, in bytes, as far as it has told.
        refused: topics that the broker did not let us subscribe to.
        on_unheard: called from ``step``, before it is acknowledged, with the number of a publication that nobody
            has subscribed to, where the broker says so.
    """

    _longest_packet = LONGEST_WORK
    _acknowledges_by_hand = True

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        on_delivery: Callable[[Delivery], None],
        on_acknowledged: Callable[[int, str | None], None] = lambda _mid, _refusal: None,
        will: Publication | None = None,
        receive_maximum: int = MOST_AT_ONCE,
    ) -> None:
        """Prepare; nothing is sent before ``connect``.

        Args:
            endpoint: the broker.
            on_delivery: called from ``step`` with each message of what was subscribed to. One of QoS 1 stays under
                way until its ``acknowledge`` is called.
            on_acknowledged: called from ``step`` with the number that a ``send`` gave and, where the broker
                refused the publication, its reason.
            will: what the broker publishes when this connection breaks.
            receive_maximum: so many messages of QoS 1 the broker may have under way to us at a time.
        """
        self._on_delivery = on_delivery
        self.on_unheard: Callable[[int], None] = lambda _mid: None
        self._receive_maximum = receive_maximum
        self._unsubscribing: set[int] = set()
        self.longest_packet = LONGEST_WORK
        self.refused: list[str] = []
        super().__init__(endpoint, "5", will=will, on_acknowledged=on_acknowledged)
        self._client.on_unsubscribe = self._unsubscribed

    def connect(self, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        """Connect and wait for the broker's consent.

        Raises:
            ConnectionFailed: it was not to be had, or the broker does not speak MQTT 5.
        """
        try:
            super().connect(timeout_s)
        except VersionInDoubt as doubt:
            raise VersionInDoubt(f"{doubt} (sharing out work takes MQTT 5)") from doubt
        self._set(socket.TCP_NODELAY)

    def step(self, timeout_s: float, wake: socket.socket | None = None) -> None:
        """Wait for the network, do what it brings and see to the keep-alive.

        A broker sends small packets, one behind the other, and by default (Nagle's algorithm) each only once the
        system has confirmed the one before. So that is done at once: it would else take 40 ms a packet.

        Args:
            timeout_s: longest wait, seconds.
            wake: ends the wait when it becomes readable.

        Raises:
            ConnectionFailed: the connection is lost, or was refused.
        """
        super().step(timeout_s, wake)
        if _QUICKACK is not None:
            self._set(_QUICKACK)  # holds for a while only

    def send_with(self, publication: Publication, headers: Headers) -> int:
        """Send a publication with properties, or have it sent by the next steps.

        Returns:
            The number under which one of QoS 1 will be acknowledged.
        """
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if headers.content_type is not None:
            properties.ContentType = headers.content_type
        if headers.response_topic is not None:
            properties.ResponseTopic = headers.response_topic
        if headers.correlation:
            properties.CorrelationData = headers.correlation
        if headers.expires_s is not None:
            properties.MessageExpiryInterval = min(max(headers.expires_s, 0), MOST_EXPIRY_S)
        if headers.user:
            properties.UserProperty = list(headers.user.items())
        info = self._client.publish(
            publication.topic, publication.payload, publication.qos, publication.retain, properties
        )
        return info.mid

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Ask for no more of some topics' messages; what is under way still comes."""
        _, number = self._client.unsubscribe(list(topics))
        if number is not None:
            self._unsubscribing.add(number)

    @property
    def unsubscribed(self) -> bool:
        """Whether the broker has confirmed that what was unsubscribed from comes no more."""
        return not self._unsubscribing

    def _set(self, option: int) -> None:
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, option, 1)

    def _limits(self) -> Properties | None:
        limits = super()._limits()
        if limits is not None:
            limits.ReceiveMaximum = min(max(self._receive_maximum, 1), MOST_AT_ONCE)
        return limits

    def _connected(
        self,
        _client: Client,
        _data: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        super()._connected(_client, _data, _flags, reason, properties)
        self.longest_packet = min(LONGEST_WORK, getattr(properties, "MaximumPacketSize", LONGEST_WORK))

    def _published(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, _props: Properties | None
    ) -> None:
        if reason.value == NOBODY_LISTENS:
            self.on_unheard(mid)
        super()._published(_client, _data, mid, reason, _props)

    def _subscribed(
        self, _client: Client, _data: object, mid: int, reasons: list[ReasonCode], _props: Properties | None
    ) -> None:
        topics = self._subscribing.get(mid, ())
        refused = [topic for topic, reason in zip(topics, reasons, strict=False) if reason.is_failure]
        self.refused.extend(refused)
        super()._subscribed(_client, _data, mid, reasons, _props)

    def _unsubscribed(self, _client: Client, _data: object, mid: int, *_: Any) -> None:  # noqa: ANN401 - paho's own
        self._unsubscribing.discard(mid)

    def _received(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        acknowledge = self._acknowledgement(message)
        try:
            topic = message.topic
        except UnicodeDecodeError:
            acknowledge()  # a topic that MQTT does not allow is none of ours
            return
        headers = _headers(message.properties)
        self._on_delivery(Delivery(topic, bytes(message.payload), message.retain, headers, acknowledge))

    def _acknowledgement(self, message: MQTTMessage) -> Callable[[], None]:
        number, qos = message.mid, message.qos
        open_ = qos > 0

        def acknowledge() -> None:
            nonlocal open_
            if open_ and self._client.socket() is not None:
                self._client.ack(number, qos)
            open_ = False

        return acknowledge


def _headers(properties: Properties | None) -> Headers:
    return Headers(
        content_type=getattr(properties, "ContentType", None),
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=bytes(getattr(properties, "CorrelationData", b"")),
        expires_s=getattr(properties, "MessageExpiryInterval", None),
        user=dict(getattr(properties, "UserProperty", ())),
    )
