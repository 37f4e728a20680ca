"""What memory a satellite takes: the whole program, with WebRTC's detector, a remote classifier and the MQTT sink.

    python -m benchmarks.satellite_memory [--core 1]

A mosquitto, a worker with the embedded model and a satellite that is fed speech on its standard input. Read once
the speech is answered, from the kernel's books (``smaps_rollup``).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.load_parts import RunningBroker
from ser_agent.audio import SAMPLE_RATE
from ser_agent.audio_files import find_audio_files, read_utterance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from paho.mqtt.client import MQTTMessage

    from ser_agent.audio import Samples

CLIPS: Final = Path(__file__).resolve().parents[1] / "tests" / "data"
PATIENCE_S: Final = 60.0
PAUSE: Final = np.zeros(SAMPLE_RATE + SAMPLE_RATE // 2, dtype=np.int16)


@dataclass(frozen=True, slots=True)
class SatelliteMemory:
    """Memory of a satellite that has worked.

    Attributes:
        utterances: that it had others hear.
        resident_mib: what it holds in memory, libraries that it shares with other programs included.
        own_mib: what nobody else has: so much is free again when it ends.
    """

    utterances: int
    resident_mib: float
    own_mib: float


def memory_of(pid: int) -> tuple[float, float]:
    """What a process holds in memory, and what of that nobody else has, MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return kib["Rss"] / 1024, (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024


def measure(core: int) -> SatelliteMemory:
    """Run a satellite beside a worker, and look at it when all that was said is answered."""
    clips = [read_utterance(path) for path in find_audio_files([CLIPS])]
    with tempfile.TemporaryDirectory() as name, RunningBroker(Path(name), {core}) as broker:
        folder = Path(name)
        sinks = f"sinks: [{{type: mqtt, port: {broker.port}}}]\n"
        (folder / "worker.yaml").write_text(f"classifier: {{threads: 1}}\n{sinks}", encoding="utf-8")
        (folder / "satellite.yaml").write_text(
            f"source: {{type: stdin}}\nvad: {{type: webrtc}}\n{sinks}"
            f"classifier: {{type: remote, port: {broker.port}, answer_within_s: 25}}\n",
            encoding="utf-8",
        )
        with _Heard(broker.port) as heard, _running("worker", folder / "worker.yaml", core):
            heard.wait_for("/workers/", 1)
            with _running("run", folder / "satellite.yaml", core) as satellite:
                _speak(satellite, clips)
                heard.wait_for("/event", len(clips))
                resident_mib, own_mib = memory_of(satellite.pid)
    return SatelliteMemory(len(clips), round(resident_mib, 1), round(own_mib, 1))


class _Heard:
    """Counts what is published."""

    def __init__(self, port: int) -> None:
        self._topics: list[str] = []
        self._changed = threading.Condition()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_connect = self._connected
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", port)

    def _connected(self, client: Client, *_: object) -> None:
        client.subscribe("#")

    def _note(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with self._changed:
            self._topics.append(message.topic)
            self._changed.notify_all()

    def wait_for(self, part: str, count: int) -> None:
        """Wait until so many messages have come on topics with that part."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: sum(part in topic for topic in self._topics) >= count, PATIENCE_S
            ):
                raise SystemExit(f"waited in vain for {count} messages on topics with {part}")

    def __enter__(self) -> Self:
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextlib.contextmanager
def _running(command: str, config: Path, core: int) -> Iterator[subprocess.Popen[bytes]]:
    program = [sys.executable, "-m", "ser_agent", command, "-c", str(config)]
    environment = {**os.environ, "STATE_DIRECTORY": str(config.parent)}
    process = subprocess.Popen(program, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    os.sched_setaffinity(process.pid, {core})
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def _speak(satellite: subprocess.Popen[bytes], clips: list[Samples]) -> None:
    if satellite.stdin is None:
        return
    for clip in clips:
        satellite.stdin.write(np.concatenate((clip, PAUSE)).astype("<i2").tobytes())
        satellite.stdin.flush()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="What memory a satellite takes.")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the processor's core")
    began_s = time.monotonic()
    found = measure(parser.parse_args().core)
    print(json.dumps({**asdict(found), "took_s": round(time.monotonic() - began_s, 1)}, indent=2))


if __name__ == "__main__":
    main()
