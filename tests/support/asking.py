"""A satellite by hand, and a worker within the tests' process."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from support.mqtt import PATIENCE_S, let_go, wait_until

from ser_agent.fleet.worker import FleetWorker, Post
from ser_agent.fleet_wire import encode_sound
from ser_agent.options import ClassifierOptions
from ser_agent.ports import NON_SPEECH, ModelInfo, PluginContext
from ser_agent.sinks.mqtt_options import MqttOptions
from ser_agent.systemd import Notifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ser_agent.audio import Utterance
    from ser_agent.ports import Answer

SITE = "room"
EXPIRES_S = 600
"""For so long an answer is of use, unless a test says otherwise."""
ANSWER_S = 60.0
"""How long is waited for one: there may be a real model that hears a batch of long sounds."""
POISON, HUSH, SLOW = 666, 1, 2
"""First samples at which the made-up classifier raises, hears nobody, or takes its time."""


def an_id(number: int) -> str:
    """An id that tells its number."""
    return f"{number:026d}"


def some_sound(first: int = 1000, seconds: float = 0.5) -> bytes:
    """FLAC whose first sample is given."""
    samples = np.full(round(seconds * 16_000), 100, np.int16)
    samples[0] = first
    return encode_sound(samples)


@dataclass(frozen=True, slots=True)
class Came:
    """An answer as it came."""

    topic: str
    id: str
    fields: Mapping[str, Any]
    qos: int
    expires_s: int | None

    @property
    def state(self) -> str:
        """taken, answered, …"""
        return str(self.fields["state"])


class Asker:
    """Asks as a satellite does, and notes what is answered."""

    def __init__(self, port: int, site: str = SITE) -> None:
        """Connect to the broker on that port, and hear a site's answers."""
        self.site = site
        self.came: list[Came] = []
        self.workers: dict[str, dict[str, Any]] = {}
        self._all_has_come = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=f"asker-{site}", protocol=MQTTProtocolVersion.MQTTv5
        )
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([("ser-agent/answers/#", 1), ("ser-agent/workers/+", 1)])
        self._client.loop_start()
        assert subscribed.wait(PATIENCE_S)

    def _note(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        if message.topic == self._last_topic:
            self._all_has_come.set()
            return
        fields = json.loads(message.payload) if message.payload else {}
        if "/workers/" in message.topic:
            self.workers[message.topic.rpartition("/")[2]] = fields
            return
        of = getattr(message.properties, "CorrelationData", b"").decode()
        expires_s = getattr(message.properties, "MessageExpiryInterval", None)
        self.came.append(Came(message.topic, of, fields, message.qos, expires_s))

    def ask(
        self,
        number: int,
        payload: bytes | None = None,
        attempt: int = 1,
        **unusual: Any,  # noqa: ANN401 - of many kinds
    ) -> None:
        """Ask about an utterance; what is unusual about it are properties, by MQTT's names."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        usual = {
            "ContentType": "audio/flac",
            "ResponseTopic": f"ser-agent/answers/{self.site}",
            "CorrelationData": an_id(number).encode(),
            "MessageExpiryInterval": EXPIRES_S,
            "UserProperty": [("try", str(attempt)), ("schema", "1")],
        }
        for name, value in (usual | unusual).items():
            setattr(properties, name, value)
        topic = f"ser-agent/utterances/{self.site}"
        sound = some_sound() if payload is None else payload
        self._client.publish(topic, sound, 1, properties=properties).wait_for_publish(PATIENCE_S)

    @property
    def _last_topic(self) -> str:
        return f"ser-agent/answers/{self.site}/last"

    def hear_all(self) -> None:
        """Wait until everything has come that the broker has had for it."""
        self._all_has_come.clear()
        self._client.publish(self._last_topic, b"", 1)
        assert self._all_has_come.wait(PATIENCE_S)

    def states(self, number: int) -> list[str]:
        """What was said of an utterance, in order."""
        return [came.state for came in self.came if came.id == an_id(number)]

    def final(self, number: int) -> Came:
        """Wait for what came of an utterance."""

        def found() -> list[Came]:
            return [came for came in self.came if came.id == an_id(number) and came.state != "taken"]

        wait_until(found, f"an answer to {number}", ANSWER_S)
        return found()[0]

    def see_worker(self) -> str:
        """Wait until a worker is there; its name."""
        wait_until(lambda: any(self.workers.values()), "a worker comes")
        return next(name for name, fields in self.workers.items() if fields)

    def close(self) -> None:
        """Take leave."""
        let_go(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class MadeUp:
    """A classifier that does what an utterance's first sample says.

    Attributes:
        batches: the first samples of what came together.
        seen: the sound itself, to see what becomes of it.
        gate: while it is not set, what is slow stays in work.
    """

    def __init__(self) -> None:
        """Begin with an open gate."""
        self.batches: list[list[int]] = []
        self.seen: list[Utterance] = []
        self.gate = threading.Event()
        self.gate.set()

    def load(self) -> ModelInfo:
        """Two labels."""
        return ModelInfo("made-up@1", ("happy", "sad"), "CC0-1.0", ("en",), 0.3)

    def classify(self, utterances: Sequence[Utterance]) -> Sequence[Answer]:
        """Answer, raise or wait."""
        firsts = [int(utterance.samples[0]) for utterance in utterances]
        self.batches.append(firsts)
        self.seen += utterances
        if SLOW in firsts:
            assert self.gate.wait(PATIENCE_S)
        if POISON in firsts:
            raise ZeroDivisionError("/secret/path")
        return [NON_SPEECH if first == HUSH else {"happy": 0.75, "sad": 0.25} for first in firsts]

    def close(self) -> None:
        """Nothing to do."""


class Working:
    """A worker in a thread of its own, around a made-up classifier."""

    def __init__(
        self, port: int, folder: Path, batch: int = 8, name: str = "w1", time_limit_s: float = 30.0
    ) -> None:
        """Prepare it; ``with`` starts it."""
        self.classifier = MadeUp()
        broker = MqttOptions.model_validate({"host": "127.0.0.1", "port": port, "retry_max_s": 0.2})
        options = ClassifierOptions(type="made-up", time_limit_s=time_limit_s)
        context = PluginContext("any", folder)
        self.worker = FleetWorker(self.classifier, options, broker, context, Post(name, "workers", batch))
        self.counts: Mapping[str, int] = {}
        self._thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        self.counts = self.worker.work(Notifier({}))

    def wait_for(self, **counts: int) -> None:
        """Wait until so much has come of what was asked."""
        wait_until(lambda: counts.items() <= self.worker.counts.items(), f"the worker counts {counts}")

    def stop(self) -> float:
        """Have it end, and wait for that; seconds that it took."""
        began_s = time.monotonic()
        self.worker.stop()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return time.monotonic() - began_s

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.classifier.gate.set()
        if self._thread.is_alive():
            self.stop()
