"""What was said is nowhere once its event is out: not in the agent's memory, nor in any file, log or topic."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
import soundfile
from support.mqtt import Listener, Mosquitto, wait_until
from support.traces import Trace, Tracer, watermarked

from ser_agent.audio import SAMPLE_RATE, Samples
from ser_agent.audio_files import read_utterance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from support.pulse import PulseServer

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(400),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into the agent's memory"),
]

SPEECH = Path(__file__).parents[1] / "data" / "1066_IOM_NEU_XX.opus"
PATIENCE_S = 100.0
PROMISED = 7
"""Codes in a row that every stretch of 512 samples (32 ms) has: blocks of memory under 1 KiB are not promised."""
MOST_BYTES = 2_000
"""No message has more: too little for any sound."""


def quiet(duration_s: float) -> Samples:
    """A quiet room: noise that is not the sound looked for."""
    noise = np.random.default_rng(7).normal(0.0, 4.0, round(duration_s * SAMPLE_RATE))
    return np.rint(noise).astype(np.int16)


class Piped:
    """The agent as a process of its own that hears what is written into its standard input."""

    def __init__(self, folder: Path, config: Mapping[str, object]) -> None:
        """Start it in a folder in which all lies that it may write to."""
        (folder / "agent.yaml").write_text(json.dumps(config))
        places = {name: str(folder) for name in ("HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_CACHE_HOME")}
        with (folder / "agent.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ser_agent", "run", "--config", "agent.yaml"],
                cwd=folder,
                env=os.environ | places,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    def hear(self, samples: Samples) -> None:
        """Let it hear something; returns once the pipe has taken it."""
        assert self.process.stdin is not None
        self.process.stdin.write(samples.tobytes())
        self.process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.kill()
        self.process.wait(PATIENCE_S)
        self.process.stdin.close()


def assert_gone(find: Callable[[], list[Trace]]) -> None:
    """The search finds nothing any more, within the time that a busy machine needs to hear the silence behind."""
    deadline_s = time.monotonic() + PATIENCE_S
    while traces := find():
        assert time.monotonic() < deadline_s, f"still there: {traces}"


def in_own_memory(tracer: Tracer, agent: Piped) -> list[Trace]:
    """What is found, but for the memory that PulseAudio shares with its clients and alone may free."""
    return [
        trace for trace in tracer.in_process(agent.process.pid, PROMISED) if "memfd:pulseaudio" not in trace.where
    ]


@pytest.mark.parametrize("engine", ["onnx", pytest.param("torch", marks=[pytest.mark.long, pytest.mark.model])])
def test_the_sound_is_nowhere_after_its_event(
    broker: Mosquitto, listener: Listener, tmp_path: Path, engine: str
) -> None:
    sound = watermarked(np.concatenate((quiet(0.5), read_utterance(SPEECH), quiet(0.2))))
    tracer = Tracer(sound)
    folder = tmp_path / "agent"
    folder.mkdir()
    sinks: list[dict[str, Any]] = [
        {"type": "mqtt", "port": broker.port},
        {"type": "jsonlines", "path": "events.jsonl"},
    ]
    config = {"source": {"type": "stdin"}, "sinks": sinks, "log": {"level": "debug"}}
    config["classifier"] = {"engine": engine}
    with Piped(folder, config) as agent:
        agent.hear(quiet(1.0))
        wait_until(lambda: listener.last("/availability") == "online", "it is up", PATIENCE_S)
        agent.hear(sound)
        wait_until(
            lambda: tracer.in_process(agent.process.pid), "it hears the sound, which the search sees", PATIENCE_S
        )
        agent.hear(quiet(2.0))
        wait_until(listener.event_ids, "the event comes", PATIENCE_S)
        assert_gone(lambda: tracer.in_process(agent.process.pid, PROMISED))
    assert not tracer.in_files(tmp_path)
    assert listener.heard
    for heard in listener.heard:
        assert len(heard.payload) <= MOST_BYTES or heard.topic.startswith("homeassistant/"), heard
        assert not tracer.in_bytes(heard.payload.encode(), heard.topic, every_alignment=True)


@pytest.mark.long
def test_without_overwriting_the_same_search_finds_it(
    broker: Mosquitto, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the search is worth: an agent that doesn't overwrite what it frees is found out."""
    (tmp_path / "sitecustomize.py").write_text("from ser_agent import process\nprocess.confine = lambda: None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    sound = watermarked(np.concatenate((quiet(0.5), read_utterance(SPEECH), quiet(0.2))))
    tracer = Tracer(sound)
    config = {"source": {"type": "stdin"}, "sinks": [{"type": "mqtt", "port": broker.port}]}
    folder = tmp_path / "agent"
    folder.mkdir()
    with Piped(folder, config) as agent:
        agent.hear(quiet(1.0))
        agent.hear(sound)
        agent.hear(quiet(2.0))
        wait_until(listener.event_ids, "the event comes", PATIENCE_S)
        traces = tracer.in_process(agent.process.pid)
    print(f"{sum(trace.count for trace in traces)} stretches of 64 samples of {len(sound)}: {traces}")
    assert traces


@pytest.mark.pulse
def test_nor_is_the_sound_of_a_microphone(
    pulse: PulseServer, broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    sound = watermarked(np.concatenate((quiet(0.5), read_utterance(SPEECH), quiet(0.2))))
    tracer = Tracer(sound)
    spoken, silence = tmp_path / "spoken.wav", tmp_path / "silence.wav"
    soundfile.write(spoken, sound, SAMPLE_RATE)
    soundfile.write(silence, quiet(3.0), SAMPLE_RATE)
    folder = tmp_path / "agent"
    folder.mkdir()
    config = {"source": {"type": "microphone"}, "sinks": [{"type": "mqtt", "port": broker.port}]}
    with Piped(folder, config) as agent:
        wait_until(lambda: listener.last("/microphone") == "ON", "it listens", PATIENCE_S)
        pulse.play(spoken)
        pulse.play(silence)
        # A busy machine delivers it with gaps, and the model may then hear no speech: it has to go all the same.
        wait_until(lambda: "ON" in listener.payloads("/speech"), "somebody is heard", PATIENCE_S)
        wait_until(lambda: listener.last("/speech") == "OFF", "nobody is heard any more", PATIENCE_S)
        assert_gone(lambda: in_own_memory(tracer, agent))
    assert not tracer.in_files(folder)
