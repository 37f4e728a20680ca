"""The connection that carries work, against a real mosquitto."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.mqtt import PATIENCE_S, Mosquitto, free_port, wait_until
from support.security import make_authority, make_certificate, tls_settings

from ser_agent.sinks.mqtt_client import VersionInDoubt
from ser_agent.sinks.mqtt_options import Endpoint
from ser_agent.sinks.mqtt_topics import Publication
from ser_agent.sinks.mqtt_work import LONGEST_WORK, Delivery, Headers, WorkConnection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOPIC = "work/room"
HEADERS = Headers("audio/flac", "answers/room", b"id-1", 9, {"try": "1", "schema": "1"})


def to(port: int, name: str) -> Endpoint:
    """A broker of this machine."""
    return Endpoint("127.0.0.1", port, "tcp", "", 30, name, None, None, None)


class Client:
    """A connection and what came of it."""

    def __init__(
        self, port: int, name: str, receive_maximum: int = 65_535, endpoint: Endpoint | None = None
    ) -> None:
        """Connect."""
        self.deliveries: list[Delivery] = []
        self.acknowledged: list[int] = []
        self.connection = WorkConnection(
            endpoint or to(port, name),
            on_delivery=self.deliveries.append,
            on_acknowledged=lambda number, _refusal: self.acknowledged.append(number),
            receive_maximum=receive_maximum,
        )
        self.connection.connect()

    def until(self, condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
        """Drive it until something holds."""
        deadline_s = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < deadline_s, "waited in vain"
            self.connection.step(0.05)

    def drive(self, seconds: float) -> None:
        """Drive it for a while."""
        end_s = time.monotonic() + seconds
        while (remaining_s := end_s - time.monotonic()) > 0:
            self.connection.step(remaining_s)

    def hear(self, topic: str) -> None:
        """Subscribe."""
        self.connection.subscribe([topic])
        self.until(lambda: self.connection.subscribed)

    def say(self, payload: bytes, headers: Headers = HEADERS, topic: str = TOPIC) -> None:
        """Publish, and have it acknowledged."""
        number = self.connection.send_with(Publication(topic, payload, 1, retain=False), headers)
        self.until(lambda: number in self.acknowledged)


@pytest.fixture
def make(broker: Mosquitto) -> Iterator[Callable[..., Client]]:
    """Makes connections to a broker that runs."""
    made: list[Client] = []

    def make(name: str, receive_maximum: int = 65_535) -> Client:
        made.append(Client(broker.port, name, receive_maximum))
        return made[-1]

    yield make
    for client in made:
        client.connection.close()


def test_properties_arrive_as_they_were_sent(make: Callable[..., Client]) -> None:
    hearer, sayer = make("hearer"), make("sayer")
    hearer.hear(TOPIC)
    sayer.say(b"sound")
    hearer.until(lambda: hearer.deliveries)
    delivery = hearer.deliveries[0]
    assert (delivery.topic, delivery.payload, delivery.retained) == (TOPIC, b"sound", False)
    assert delivery.headers.expires_s in {8, 9}  # the broker counts down
    assert delivery.headers == Headers(
        "audio/flac", "answers/room", b"id-1", delivery.headers.expires_s, {"try": "1", "schema": "1"}
    )


def test_a_message_without_properties_has_empty_headers(make: Callable[..., Client]) -> None:
    hearer, sayer = make("hearer"), make("sayer")
    hearer.hear(TOPIC)
    sayer.connection.send(Publication(TOPIC, b"plain", 0, retain=False))
    hearer.until(lambda: hearer.deliveries)
    assert hearer.deliveries[0].headers == Headers()
    hearer.deliveries[0].acknowledge()  # of QoS 0: there is nothing to acknowledge
    hearer.drive(0.1)


def test_a_long_packet_passes_and_a_longer_one_is_left_with_the_broker(make: Callable[..., Client]) -> None:
    hearer, sayer = make("hearer"), make("sayer")
    hearer.hear(TOPIC)
    sayer.say(bytes(LONGEST_WORK - 1024))
    hearer.until(lambda: hearer.deliveries)
    assert len(hearer.deliveries[0].payload) == LONGEST_WORK - 1024
    sayer.say(bytes(LONGEST_WORK + 1))  # mosquitto does not pass on what a client does not want
    sayer.say(b"next")
    hearer.until(lambda: len(hearer.deliveries) == 2)
    assert hearer.deliveries[1].payload == b"next"


def test_no_more_is_under_way_than_was_asked_for(make: Callable[..., Client]) -> None:
    hearer, sayer = make("hearer", 3), make("sayer")
    hearer.hear(TOPIC)
    for number in range(5):
        sayer.say(b"%d" % number)
    hearer.until(lambda: len(hearer.deliveries) == 3)
    hearer.drive(0.2)
    assert [delivery.payload for delivery in hearer.deliveries] == [b"0", b"1", b"2"]
    # mosquitto 2.0.11 sends more than that once something is acknowledged: nobody may rely on it.
    for delivery in hearer.deliveries:
        delivery.acknowledge()
    hearer.until(lambda: len(hearer.deliveries) == 5)


def test_a_second_acknowledgement_does_not_count(make: Callable[..., Client]) -> None:
    hearer, sayer = make("hearer", 1), make("sayer")
    hearer.hear(TOPIC)
    for number in range(4):
        sayer.say(b"%d" % number)
    hearer.until(lambda: hearer.deliveries)
    hearer.deliveries[0].acknowledge()
    hearer.deliveries[0].acknowledge()
    hearer.until(lambda: len(hearer.deliveries) == 2)
    hearer.drive(0.2)
    hearer.deliveries[0].acknowledge()  # mosquitto may have given its number to another one
    hearer.drive(0.2)
    assert [delivery.payload for delivery in hearer.deliveries] == [b"0", b"1"]


def test_what_was_not_acknowledged_is_not_lost_where_somebody_else_shares_the_subscription(
    make: Callable[..., Client],
) -> None:
    first, sayer = make("first"), make("sayer")
    first.hear("$share/group/work/#")
    sayer.say(b"done")
    first.until(lambda: first.deliveries)
    first.deliveries[0].acknowledge()
    first.drive(0.1)
    sayer.say(b"open")
    first.until(lambda: len(first.deliveries) == 2)
    first.connection.drop()
    second = make("second")
    second.hear("$share/group/work/#")
    sayer.say(b"again")  # by the asker: brokers differ in what they do with a queue whose subscriber is gone
    second.until(lambda: second.deliveries)
    assert b"done" not in {delivery.payload for delivery in second.deliveries}
    first.deliveries[1].acknowledge()  # too late: does nothing


def test_after_unsubscribing_nothing_more_comes_and_the_rest_can_be_acknowledged(
    make: Callable[..., Client],
) -> None:
    hearer, sayer = make("hearer"), make("sayer")
    hearer.hear(TOPIC)
    sayer.say(b"before")
    hearer.until(lambda: hearer.deliveries)
    hearer.connection.unsubscribe([TOPIC])
    hearer.until(lambda: hearer.connection.unsubscribed)
    sayer.say(b"after")
    hearer.deliveries[0].acknowledge()
    hearer.drive(0.2)
    assert [delivery.payload for delivery in hearer.deliveries] == [b"before"]


@contextlib.contextmanager
def scripted(*answers: bytes) -> Iterator[int]:
    """A server that answers one client's packets with given ones; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                peer, _ = server.accept()
                with peer:
                    for answer in answers:
                        peer.recv(4096)
                        peer.sendall(answer)
                    peer.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_refused_subscription_is_noted_and_so_is_the_longest_packet() -> None:
    consent = b"\x20\x08\x00\x00\x05\x27\x00\x01\x00\x00"  # maximum packet size: 65,536
    no_sharing = b"\x90\x04\x00\x01\x00\x9e"
    with scripted(consent, no_sharing) as port:
        client = Client(port, "hearer")
        assert client.connection.longest_packet == 65_536
        client.hear("$share/group/work/#")
        assert client.connection.refused == ["$share/group/work/#"]
        client.connection.close()


def test_a_broker_that_speaks_no_mqtt_5_is_refused_with_the_reason() -> None:
    with scripted(b"\x20\x02\x00\x01") as port:  # CONNACK: unacceptable protocol version
        connection = WorkConnection(to(port, "hearer"), on_delivery=lambda _delivery: None)
        with pytest.raises(VersionInDoubt, match=r"sharing out work takes MQTT 5"):
            connection.connect(PATIENCE_S)


def listens(port: int) -> bool:
    """Whether somebody does."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False


@pytest.mark.parametrize("transport", ["tls", "websockets"])
def test_sound_passes_whatever_it_travels_in(mosquitto: str, tmp_path: Path, transport: str) -> None:
    port = free_port()
    settings, context = f"listener {port} 127.0.0.1\nprotocol websockets", None
    if transport == "tls":
        make_certificate(make_authority(tmp_path, "ours"), "broker", "IP:127.0.0.1")
        settings = tls_settings(tmp_path)
        context = ssl.create_default_context(cafile=str(tmp_path / "ours.pem"))
    with Mosquitto(mosquitto, tmp_path, settings) as broker:
        if context is None:
            endpoint = replace(to(port, "hearer"), transport="websockets", path="/mqtt")
            wait_until(lambda: listens(port), "the second listener is there")
        else:
            endpoint = replace(to(broker.port, "hearer"), tls=context)
        hearer = Client(port, "", endpoint=endpoint)
        sayer = Client(port, "", endpoint=replace(endpoint, client_id="sayer"))
        hearer.hear(TOPIC)
        size = 1_500_000 if context else 20_000  # mosquitto 2.0.11 sends some 45 kB a second over websockets
        sayer.say(bytes(size))
        hearer.until(lambda: hearer.deliveries)
        assert len(hearer.deliveries[0].payload) == size
        hearer.deliveries[0].acknowledge()
        hearer.connection.close()
        sayer.connection.close()
