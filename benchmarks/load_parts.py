"""A broker, an agent and satellites for the benchmark of load, each in a process of its own but the last."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import wave
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import psutil
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from ser_agent.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from paho.mqtt.client import MQTTMessage

    from ser_agent.audio import Samples

CHUNK: Final = 1024
CHUNK_S: Final = CHUNK / SAMPLE_RATE
SUBTICKS: Final = 8
"""Satellites send their messages at so many different moments of each 64 ms."""
PATIENCE_S: Final = 60.0
HUSH_S: Final = 1.2
POLL_S: Final = 0.02
TURN_S: Final = 0.1


def messages_of(sound: Samples) -> list[bytes]:
    """A sound as the WAVs of 64 ms that a satellite sends."""
    return [_wav(sound[start : start + CHUNK]) for start in range(0, len(sound) - CHUNK + 1, CHUNK)]


def _wav(samples: Samples) -> bytes:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return sound.getvalue()


def _connected(port: int) -> Client:
    client = Client(CallbackAPIVersion.VERSION2)
    there = threading.Event()
    client.on_connect = lambda *_: there.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    if not there.wait(PATIENCE_S):
        raise SystemExit("the broker does not answer")
    return client


class Player:
    """Speaks for all satellites."""

    def __init__(self, port: int) -> None:
        """Connect."""
        self._client = _connected(port)

    def play(self, messages: Sequence[bytes], count: int, seconds: float) -> float:
        """Let so many satellites play the same messages in real time, each from a place of its own.

        Returns:
            How late the latest message was sent, seconds: this process has to keep up, too.
        """
        began_s, worst_s = time.monotonic(), 0.0
        step = len(messages) // count
        for tick in range(round(seconds / CHUNK_S)):
            for part in range(SUBTICKS):
                due_s = began_s + (tick + part / SUBTICKS) * CHUNK_S
                time.sleep(max(0.0, due_s - time.monotonic()))
                worst_s = max(worst_s, time.monotonic() - due_s)
                for number in range(part, count, SUBTICKS):
                    self._send(number, messages[(tick + number * step) % len(messages)])
        return worst_s

    def hush(self, count: int) -> None:
        """Let them send silence, so that what is being said ends."""
        self.play([_wav(np.zeros(CHUNK, dtype=np.int16))] * count, count, HUSH_S)

    def _send(self, number: int, payload: bytes) -> None:
        self._client.publish(f"hermes/audioServer/satellite-{number}/audioFrame", payload, qos=0)

    def __enter__(self) -> Self:
        """Connected already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


class RunningBroker:
    """A mosquitto."""

    def __init__(self, folder: Path, cores: set[int]) -> None:
        """Start it on some cores."""
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port: int = sock.getsockname()[1]
        config = folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        self._process = subprocess.Popen([str(program), "-c", str(config)], stderr=subprocess.DEVNULL)
        os.sched_setaffinity(self._process.pid, cores)
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
                return
            time.sleep(POLL_S)
        raise SystemExit("mosquitto does not start")

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(PATIENCE_S)


class Slowed:
    """A process that may run only for a part of the time, as on a machine that is so much slower."""

    def __init__(self, pid: int, share: float) -> None:
        """Prepare.

        Args:
            pid: of the process.
            share: of the time that it runs.
        """
        self._pid = pid
        self._share = share
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._alternate)

    def _alternate(self) -> None:
        while not self._ended.wait(self._share * TURN_S):
            os.kill(self._pid, signal.SIGSTOP)
            self._ended.wait((1 - self._share) * TURN_S)
            os.kill(self._pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let it run again."""
        self._ended.set()
        self._thread.join()


class RunningAgent:
    """An agent with the Hermes source, whose events and stats are noted."""

    def __init__(self, folder: Path, port: int, cores: set[int]) -> None:
        """Start it on some cores, and wait until it is ready."""
        self.events: list[dict[str, Any]] = []
        self._stats: dict[str, Any] = {}
        self._fresh = threading.Condition()
        self._client = _connected(port)
        self._client.on_message = self._note
        self._client.subscribe([("ser-agent/+/event", 1), ("ser-agent/hub/stats", 0)])
        config = folder / "agent.yaml"
        broker = {"host": "127.0.0.1", "port": port}
        settings = {
            "site": "hub",
            "stats_interval_s": 1,
            "source": {"type": "hermes", **broker},
            "sinks": [{"type": "mqtt", "discovery": {"enabled": False}, **broker}],
        }
        config.write_text(json.dumps(settings), encoding="utf-8")
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "ser_agent", "run", "--config", str(config)],
            env=os.environ | {"STATE_DIRECTORY": str(folder / "state")},
            stderr=(folder / "agent.log").open("wb"),
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - no thread has started yet that matters
        )
        self._process = psutil.Process(self._popen.pid)
        self._await_stats()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._popen.pid

    @property
    def cpu_s(self) -> float:
        """Processor seconds used so far."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def settled(self, patience_s: float) -> dict[str, Any]:
        """The figures once nothing is on its way any more."""
        deadline_s = time.monotonic() + patience_s
        while True:
            stats = self._await_stats()
            settled = stats["published"] + sum(stats["failed"].values()) + sum(stats["dropped"].values())
            if settled == stats["utterances"] or time.monotonic() > deadline_s:
                return stats

    def _await_stats(self) -> dict[str, Any]:
        with self._fresh:
            self._stats.clear()
            if not self._fresh.wait_for(lambda: self._stats, PATIENCE_S):
                raise SystemExit("the agent does not tell how it is")
            return dict(self._stats)

    def _note(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        fields = json.loads(message.payload)
        if message.topic.endswith("/event"):
            self.events.append(fields)
            return
        with self._fresh:
            self._stats.update(fields)
            self._fresh.notify_all()

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._popen.terminate()
        self._popen.wait(PATIENCE_S)
        self._client.disconnect()
        self._client.loop_stop()
