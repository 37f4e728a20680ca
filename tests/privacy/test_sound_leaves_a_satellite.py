"""A satellite sends sound to its workers, and to nobody else; once its event is out, it has none of it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.mqtt import Listener, Mosquitto, retained, wait_until
from support.scripted_worker import ScriptedWorker, answers
from support.traces import Tracer, pages_in_use, watermarked

from ser_agent.audio import SAMPLE_RATE, Samples
from ser_agent.audio_files import read_utterance
from ser_agent.fleet_wire import decode_sound

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into the agent's memory"),
]

SPEECH = Path(__file__).parents[1] / "data" / "1066_IOM_NEU_XX.opus"
PROMISED = 7
"""Codes in a row that every stretch of 512 samples (32 ms) has: blocks of memory under 1 KiB are not promised."""
PIECE = 1024
"""Bytes of packed sound, and no less, are promised not to be left."""
PATIENCE_S = 100.0


def quiet(duration_s: float) -> Samples:
    noise = np.random.default_rng(7).normal(0.0, 4.0, round(duration_s * SAMPLE_RATE))
    return np.rint(noise).astype(np.int16)


@pytest.fixture
def satellite(broker: Mosquitto, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A satellite as a process of its own that hears what is written into its standard input."""
    config = {
        "site": "den",
        "source": {"type": "stdin"},
        "vad": {"type": "webrtc"},
        "classifier": {"type": "remote", "port": broker.port, "answer_within_s": 100, "time_limit_s": 120},
        "sinks": [{"type": "mqtt", "port": broker.port}],
        "log": {"level": "debug"},
    }
    (tmp_path / "satellite.yaml").write_text(json.dumps(config))
    places = {name: str(tmp_path) for name in ("HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_CACHE_HOME")}
    with (tmp_path / "satellite.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ser_agent", "run", "--config", "satellite.yaml"],
            cwd=tmp_path,
            env=os.environ | places,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def hear(satellite: subprocess.Popen[bytes], samples: Samples) -> None:
    assert satellite.stdin is not None
    satellite.stdin.write(samples.tobytes())
    satellite.stdin.flush()


def packed_left(pid: int, packed: bytes) -> int:
    """How many pieces of packed sound are in a process's memory."""
    pieces = [packed[start : start + PIECE] for start in range(0, len(packed) - PIECE, PIECE)]
    left = 0
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for start, end, _ in pages_in_use(pid):
            memory.seek(start)
            try:
                data = memory.read(end - start)
            except OSError:  # a device's pages, or it was unmapped meanwhile
                continue
            left += sum(piece in data for piece in pieces)
    return left


def test_only_workers_get_the_sound_and_none_of_it_is_left(
    broker: Mosquitto, satellite: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    sound = watermarked(np.concatenate((quiet(0.5), read_utterance(SPEECH), quiet(0.2))))
    tracer = Tracer(sound)
    with ScriptedWorker(broker.port, answers) as worker, Listener(broker.port) as listener:
        hear(satellite, quiet(1.0))
        wait_until(lambda: listener.last("/availability") == "online", "it is up", PATIENCE_S)
        hear(satellite, np.concatenate((sound, quiet(2.0))))
        wait_until(listener.event_ids, "the event comes", PATIENCE_S)
        payloads = [question.payload for question in worker.questions]
        assert sum(len(decode_sound(payload)) for payload in payloads) > SAMPLE_RATE
        assert packed_left(os.getpid(), payloads[0]), "the search does not find what is there"
        deadline_s = time.monotonic() + PATIENCE_S
        while tracer.in_process(satellite.pid, PROMISED) or any(packed_left(satellite.pid, p) for p in payloads):
            assert time.monotonic() < deadline_s, "there is sound left"
        info = json.loads(str(listener.last("den/info")))
        assert info["audio_sent_to"] == f"localhost:{broker.port}"
        assert {heard.topic for heard in listener.heard if len(heard.payload) > 4_000} <= {
            "ser-agent/utterances/den",
            "homeassistant/device/ser-agent-den/config",
        }
    assert "ser-agent/utterances/den" not in retained(broker.port)
    log = (tmp_path / "satellite.log").read_text()
    assert "the sound of every utterance is sent to the broker" in log
    assert not tracer.in_bytes(log.encode(), "log", every_alignment=True)
