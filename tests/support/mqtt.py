"""A real mosquitto, and a client that notes down all that it hears."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from ser_agent.ports import PluginContext
from ser_agent.sinks.mqtt import MqttSink
from ser_agent.state import StateFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ser_agent.commands import CommandDesk

PATIENCE_S = 20.0
POLL_S = 0.01
CATCHING_UP = "catching/up"
"""Topics of what a listener tells itself, which no listener notes down."""


def wait_until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Poll until a condition holds; fail with ``what`` when it does not in time."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {patience_s:.0f} s in vain: {what}"
        time.sleep(POLL_S)


def let_go(client: Client) -> None:
    """Disconnect, end the client's thread, and close the sockets that paho leaves to the garbage collector.

    That collector would find them open now and then, during any test.
    """
    client.disconnect()
    client.loop_stop()
    client._reset_sockets()


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Mosquitto:
    """The broker's process: can be stopped, started again on the same port, killed and suspended."""

    def __init__(
        self,
        program: str,
        folder: Path,
        settings: str = "",
        *,
        anonymous: bool = True,
        saves_to: Path | None = None,
    ) -> None:
        """Prepare.

        Args:
            program: path of mosquitto.
            folder: for its files.
            settings: lines of mosquitto.conf that belong to the only listener.
            anonymous: whether it asks for no password.
            saves_to: folder for what it saves, and it saves every change; None: it does so at its end.
        """
        saving = "" if saves_to is None else "autosave_on_changes true\nautosave_interval 1\n"
        self.port = free_port()
        self._program = program
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._process: subprocess.Popen[bytes] | None = None
        self._config.write_text(
            f"persistence true\n{saving}persistence_location {saves_to or folder}/\n"
            f"persistence_file {self.port}.db\n"
            f"user root\nmax_queued_messages 100000\nlog_dest file {folder}/mosquitto-{self.port}.log\n"
            f"listener {self.port} 127.0.0.1\nallow_anonymous {str(anonymous).lower()}\n{settings}\n"
        )

    def start(self) -> None:
        """Start, and wait until it accepts connections."""
        self._process = subprocess.Popen([self._program, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        wait_until(self._answers, "mosquitto starts")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"mosquitto did not start with {self._config}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
            return True
        return False

    def stop(self) -> None:
        """End it; it saves sessions and retained messages."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait(PATIENCE_S)
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would: it saves nothing."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._process = None

    def suspend(self) -> None:
        """Make it hang: connections stay, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a suspension."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it arrived, with the flags it was published with."""

    topic: str
    payload: str
    qos: int
    retain: bool

    @property
    def fields(self) -> dict[str, object]:
        """The payload as JSON."""
        fields: dict[str, object] = json.loads(self.payload)
        return fields


class Listener:
    """Subscribes to everything, under a session that outlives the broker's restart, and notes what it hears."""

    def __init__(
        self,
        port: int,
        *,
        v5: bool = True,
        topic: str = "#",
        name: str = "listener",
        user: tuple[str, str] | None = None,
    ) -> None:
        """Connect to the broker on that port, as a user with a password where one is given, and subscribe.

        By MQTT 3.1.1 its session ends with the connection.
        """
        self.heard: list[Heard] = []
        self._caught_up: set[str] = set()
        self._topic = topic
        self._v5 = v5
        self._subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{name}-{port}",
            protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
            clean_session=None if v5 else True,
        )
        if user is not None:
            self._client.username_pw_set(*user)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda *_: self._subscribe()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._note
        if v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 600
            self._client.connect("127.0.0.1", port, clean_start=False, properties=properties)
        else:
            self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(PATIENCE_S), "the listener could not subscribe"

    @property
    def connected(self) -> bool:
        """Whether it is; after a restart of the broker it takes a second to be so again."""
        return self._client.is_connected()

    def _subscribe(self) -> None:
        if self._v5:
            options = SubscribeOptions(qos=1, retainAsPublished=True)
            self._client.subscribe(self._topic, options=options)
        else:
            self._client.subscribe(self._topic, qos=1)

    def _note(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        if message.topic.startswith(CATCHING_UP):
            self._caught_up.add(message.topic)
            return
        self.heard.append(
            Heard(message.topic, message.payload.decode(errors="replace"), message.qos, message.retain)
        )

    def on(self, topic: str) -> list[Heard]:
        """What was heard on topics that end like this, in order."""
        return [heard for heard in self.heard if heard.topic.endswith(topic)]

    def payloads(self, topic: str) -> list[str]:
        """The payloads heard on topics that end like this, in order."""
        return [heard.payload for heard in self.on(topic)]

    def last(self, topic: str) -> str | None:
        """The latest payload on topics that end like this."""
        payloads = self.payloads(topic)
        return payloads[-1] if payloads else None

    def event_ids(self) -> list[str]:
        """The ids of the events heard, in order, each once."""
        return list(dict.fromkeys(str(heard.fields["id"]) for heard in self.on("/event")))

    def say(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        """Publish something, as another program could."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(PATIENCE_S)

    def shout(self, topic: str, payload: str | bytes, times: int) -> None:
        """Publish the same thing many times as fast as it goes, yet with few of them waiting in this process."""
        for number in range(1, times + 1):
            under_way = self._client.publish(topic, payload, qos=0)
            if number % 500 == 0 or number == times:
                under_way.wait_for_publish(PATIENCE_S)

    def catch_up(self) -> None:
        """Return once all has been heard that the broker was given before; to be called while it is connected."""
        mark = f"{CATCHING_UP}/{secrets.token_hex(8)}"
        self.say(mark, "")  # comes back behind all the rest
        wait_until(lambda: mark in self._caught_up, "the listener catches up")

    def close(self) -> None:
        """Disconnect."""
        let_go(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def retained(port: int) -> dict[str, Heard]:
    """All that the broker keeps, by topic."""
    with Listener(port, v5=False, name=f"newcomer-{secrets.token_hex(4)}") as newcomer:
        newcomer.catch_up()
        return {heard.topic: heard for heard in newcomer.heard if heard.retain}


def make_sink(
    port: int,
    folder: Path,
    *,
    site: str = "test",
    state: StateFile | None = None,
    desk: CommandDesk | None = None,
    **keys: Any,  # noqa: ANN401 - of many kinds
) -> MqttSink:
    """A sink for the broker on that port that reconnects without much delay; ``keys`` as in the YAML."""
    merged = {"host": "127.0.0.1", "port": port, "retry_max_s": 0.2, **keys}
    options = MqttSink.Options.model_validate_json(json.dumps(merged))
    return MqttSink(options, PluginContext(site, folder, state or StateFile(), desk))


def break_connection(sink: MqttSink) -> None:
    """End the sink's TCP connection under it, as a router that restarts would."""
    assert sink._courier is not None
    assert sink._courier.connection is not None
    connection = sink._courier.connection._client.socket()
    assert isinstance(connection, socket.socket)
    connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def opened(sink: MqttSink) -> Iterator[MqttSink]:
    """A sink from opening to closing."""
    sink.open()
    try:
        yield sink
    finally:
        sink.close()
