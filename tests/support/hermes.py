"""Satellites as a voice assistant has them: small WAVs over MQTT, in real time or as fast as it goes."""

from __future__ import annotations

import io
import json
import threading
import time
import wave
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from support.mqtt import PATIENCE_S, let_go

from ser_agent.audio import SAMPLE_RATE, Samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

CHUNK = 1024
"""Samples of a message: 64 ms."""


def wav(samples: Samples, rate: int = SAMPLE_RATE, channels: int = 1, width: int = 2) -> bytes:
    """A small WAV of integers; every channel holds the same."""
    data: NDArray[np.integer[Any]]
    if width == 1:
        data = ((samples.astype(np.int32) >> 8) + 128).astype(np.uint8)
    elif width == 2:
        data = samples.astype("<i2")
    else:
        data = samples.astype("<i4") << 16
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.repeat(data, channels).tobytes())
    return sound.getvalue()


def chunks(samples: Samples, size: int = CHUNK) -> Iterator[Samples]:
    """Consecutive pieces."""
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


class Satellites:
    """A client that speaks for any number of satellites."""

    def __init__(self, port: int) -> None:
        """Connect to the broker on that port."""
        self._client = Client(CallbackAPIVersion.VERSION2)
        connected = threading.Event()
        self._client.on_connect = lambda *_: connected.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert connected.wait(PATIENCE_S), "the satellites could not connect"

    def send(self, site: str, payload: bytes) -> None:
        """Send one message with sound."""
        self._client.publish(f"hermes/audioServer/{site}/audioFrame", payload, qos=0)

    def session(self, site: str, session: str, *, started: bool) -> None:
        """Tell that a session has started or ended."""
        word = "Started" if started else "Ended"
        fields = json.dumps({"siteId": site, "sessionId": session, "customData": None})
        self._client.publish(f"hermes/dialogueManager/session{word}", fields, qos=1)

    def speak(self, sounds: dict[str, Samples], speed: float = 1.0) -> None:
        """Let satellites send different sounds at the same time, to the end of the longest."""
        messages = {site: [wav(chunk) for chunk in chunks(sound)] for site, sound in sounds.items()}
        self.play(messages, speed)

    def play(self, messages: dict[str, list[bytes]], speed: float = 1.0) -> None:
        """Send each satellite's messages, one of each every 64 ms."""
        began_s = time.monotonic()
        for number in range(max(map(len, messages.values()))):
            due_s = began_s + number * CHUNK / SAMPLE_RATE / speed
            time.sleep(max(0.0, due_s - time.monotonic()))  # the tempo of a microphone, not a wait for something
            for site, queue in messages.items():
                if number < len(queue):
                    self.send(site, queue[number])

    def close(self) -> None:
        """Disconnect."""
        let_go(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def silence(duration_s: float) -> Samples:
    """Digital silence."""
    return np.zeros(round(duration_s * SAMPLE_RATE), dtype=np.int16)


def joined(parts: Iterable[Samples]) -> Samples:
    """One sound behind the other."""
    return np.concatenate(list(parts))
