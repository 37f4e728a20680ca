"""Workers and a satellite for the benchmark of the fleet, each in a process of its own, and a wire that counts."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import psutil
import soundfile

from ser_agent.audio import SAMPLE_RATE, Utterance
from ser_agent.classifiers.remote import RemoteClassifier
from ser_agent.ports import PluginContext

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ser_agent.audio import Samples

PATIENCE_S: Final = 120.0
CHUNK_BYTES: Final = 65_536
FEW_BYTES: Final = 4_000


def remote(folder: Path, port: int, site: str, **keys: object) -> RemoteClassifier:
    """A classifier that asks workers; ``keys`` as in the YAML."""
    merged = {"host": "127.0.0.1", "port": port, "answer_within_s": 60.0, "time_limit_s": 90.0, **keys}
    options = RemoteClassifier.Options.model_validate_json(json.dumps(merged))
    return RemoteClassifier(options, PluginContext(site, folder))


def utterance_of(samples: Samples) -> Utterance:
    """An utterance that has just ended, with a copy of the sound."""
    now_s = time.monotonic()
    return Utterance(samples.copy(), 0, "silence", captured_at=now_s, closed_at=now_s)


def cpu_s(process: psutil.Process) -> float:
    """Processor seconds that a process has used so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


class Workers:
    """So many workers, each with one thread."""

    def __init__(self, folder: Path, port: int, many: int, cores: set[int]) -> None:
        """Start them on some cores, and wait until a satellite sees all of them."""
        folder.mkdir(exist_ok=True)
        config = folder / "worker.yaml"
        settings = {
            "classifier": {"type": "wav2vec2", "threads": 1},
            "sinks": [{"type": "mqtt", "host": "127.0.0.1", "port": port}],
        }
        config.write_text(json.dumps(settings), encoding="utf-8")
        command = [sys.executable, "-m", "ser_agent", "worker", "--config", str(config)]
        with (folder / "workers.log").open("ab") as log:
            self._popen = [
                subprocess.Popen([*command, "--name", f"worker-{number}"], stdout=log, stderr=log)
                for number in range(many)
            ]
        for process in self._popen:
            os.sched_setaffinity(process.pid, cores)
        self.processes = [psutil.Process(process.pid) for process in self._popen]
        self._wait(folder, port, many)

    @staticmethod
    def _wait(folder: Path, port: int, many: int) -> None:
        probe = remote(folder, port, "probe")
        probe.load()
        deadline_s = time.monotonic() + PATIENCE_S
        while probe.counts()["workers"] < many:
            if time.monotonic() > deadline_s:
                raise SystemExit(f"of {many} workers only {probe.counts()['workers']} came up")
            time.sleep(0.05)
        probe.close()

    def __enter__(self) -> Self:
        """They run already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them."""
        for process in self._popen:
            process.terminate()
        for process in self._popen:
            process.wait(PATIENCE_S)


class CountingWire:
    """Passes bytes on between clients and a broker, and counts them: what TCP carries, without its own headers."""

    def __init__(self, port: int) -> None:
        """Listen for clients of the broker on that port."""
        self._broker = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.up = self.down = 0
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @property
    def total(self) -> int:
        """Bytes so far, both ways."""
        return self.up + self.down

    def grows(self, seconds: float) -> bool:
        """Wait so long; whether more than a few states went up meanwhile."""
        before = self.up
        time.sleep(seconds)
        return self.up - before > FEW_BYTES

    def _run(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(timeout=0.2):
                if key.fileobj is self._server:
                    self._accept()
                else:
                    self._pass_on(key.fileobj, *key.data)

    def _accept(self) -> None:
        client, _ = self._server.accept()
        broker = socket.create_connection(("127.0.0.1", self._broker))
        for end in (client, broker):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(client, selectors.EVENT_READ, (broker, True))
        self._selector.register(broker, selectors.EVENT_READ, (client, False))

    def _pass_on(self, end: Any, other: socket.socket, upwards: bool) -> None:  # noqa: ANN401, FBT001 - a selector's
        with contextlib.suppress(OSError):
            if chunk := end.recv(CHUNK_BYTES):
                other.sendall(chunk)
                self.up += len(chunk) * upwards
                self.down += len(chunk) * (not upwards)
                return
        for gone in (end, other):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(gone)
            gone.close()

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self._ended.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            socket.socket.close(key.fileobj)  # type: ignore[arg-type]
        self._selector.close()


class SatelliteProcess:
    """An agent that only captures and segments, and plays a file instead of a microphone, in real time."""

    def __init__(self, folder: Path, port: int, sound: Sequence[Samples], cores: set[int]) -> None:
        """Start it on some cores."""
        folder.mkdir(exist_ok=True)
        soundfile.write(folder / "sound.wav", np.concatenate(sound), SAMPLE_RATE)
        broker = {"host": "127.0.0.1", "port": port}
        settings = {
            "site": "satellite",
            "source": {"type": "files", "paths": ["sound.wav"], "realtime": True},
            "vad": {"type": "webrtc"},
            "classifier": {"type": "remote", **broker},
            "sinks": [{"type": "mqtt", "discovery": {"enabled": False}, **broker}],
        }
        (folder / "satellite.yaml").write_text(json.dumps(settings), encoding="utf-8")
        command = [sys.executable, "-m", "ser_agent", "run", "--config", str(folder / "satellite.yaml")]
        with (folder / "satellite.log").open("wb") as log:
            self._popen = subprocess.Popen(
                command, stdout=log, stderr=log, env=os.environ | {"STATE_DIRECTORY": str(folder / "state")}
            )
        os.sched_setaffinity(self._popen.pid, cores)
        self.process = psutil.Process(self._popen.pid)

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._popen.terminate()
        self._popen.wait(PATIENCE_S)
