"""A worker that does what a test says, made of nothing of ours but the wire format."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from support.mqtt import PATIENCE_S, let_go

from ser_agent.fleet_wire import FleetTopics, Presence, Reply, encode_presence, encode_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.fleet_wire import State

TOPICS: Final = FleetTopics("ser-agent")
LABELS: Final = ("happy", "sad")
SCORES: Final = {"happy": 0.75, "sad": 0.25}
MODEL: Final = "scripted@1"


@dataclass(frozen=True, slots=True)
class Question:
    """An utterance as it arrived."""

    topic: str
    payload: bytes
    qos: int
    retained: bool
    id: str
    attempt: int
    response_topic: str
    expires_in_s: int
    content_type: str


class ScriptedWorker:
    """Notes every question, and has the script answer it. It lives until it leaves, or dies."""

    def __init__(
        self,
        port: int,
        script: Callable[[ScriptedWorker, Question], None],
        *,
        name: str = "w1",
    ) -> None:
        """Connect, subscribe, and say that it is there."""
        self.name = name
        self.questions: list[Question] = []
        self._script = script
        self._subscribed = threading.Event()
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5
        )
        client.will_set(TOPICS.worker(name), b"", qos=1, retain=True)
        client.reconnect_delay_set(1, 1)
        client.on_connect = self._connected
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._heard
        presence = encode_presence(Presence(name, "workers", MODEL, LABELS, 0.45, "MIT", ("de",)))
        client.connect("127.0.0.1", port)
        client.loop_start()
        assert self._subscribed.wait(PATIENCE_S), "the worker could not subscribe"
        client.publish(TOPICS.worker(name), presence, qos=1, retain=True).wait_for_publish(PATIENCE_S)

    def say(  # noqa: PLR0913 - an answer has that many parts
        self,
        question: Question,
        state: State = "answered",
        *,
        scores: dict[str, float] | None = None,
        reason: str | None = None,
        times: int = 1,
        named: str | None = None,
    ) -> None:
        """Say something of a question."""
        model = MODEL if state in {"answered", "non_speech"} else None
        given = scores or (SCORES if state == "answered" else None)
        payload = encode_reply(Reply(named or question.id, state, self.name, model, given, reason))
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.CorrelationData = question.id.encode()
        for _ in range(times):
            self._client.publish(
                question.response_topic, payload, qos=int(state != "taken"), properties=properties
            )

    def die(self) -> None:
        """End as a killed process would: without a word."""
        sock = self._client.socket()
        assert isinstance(sock, socket.socket)
        self._client.on_connect = None
        self._client.on_message = None
        self._client.disable_logger()
        self._client._reconnect_on_failure = False
        sock.shutdown(socket.SHUT_RDWR)

    def leave(self) -> None:
        """Say that it goes, and go."""
        self._client.publish(TOPICS.worker(self.name), b"", qos=1, retain=True).wait_for_publish(PATIENCE_S)
        let_go(self._client)

    def _connected(self, client: Client, *_: object) -> None:
        client.subscribe(TOPICS.shared("workers"), qos=1)

    def _heard(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        properties: Any = message.properties
        question = Question(
            message.topic,
            bytes(message.payload),
            message.qos,
            message.retain,
            properties.CorrelationData.decode(),
            int(dict(properties.UserProperty)["try"]),
            properties.ResponseTopic,
            getattr(properties, "MessageExpiryInterval", 0),  # mosquitto leaves it out in the last second
            properties.ContentType,
        )
        self.questions.append(question)
        self._script(self, question)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        let_go(self._client)


def answers(worker: ScriptedWorker, question: Question) -> None:
    """Take it and answer it."""
    worker.say(question, "taken")
    worker.say(question)


def is_silent(_worker: ScriptedWorker, _question: Question) -> None:
    """Say nothing."""


def takes(worker: ScriptedWorker, question: Question) -> None:
    """Take it, and no more."""
    worker.say(question, "taken")


def fails(worker: ScriptedWorker, question: Question) -> None:
    """Take it, and fail."""
    worker.say(question, "taken")
    worker.say(question, "failed", reason="classifier")
