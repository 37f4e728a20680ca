"""How fast, how large, how idle: the figures of the README's table.

    python -m benchmarks.performance [--seconds 30]

Everything is measured in one run on this machine. The peer is ``transformers.pipeline("audio-classification")``
with a model of ``facebook/wav2vec2-base``'s shape and random weights: its speed is that of the real one.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import psutil
import soundfile
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification, pipeline

from benchmarks.readme import performance_table
from ser_agent.audio import SAMPLE_RATE, Utterance, float_from_pcm16
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.testing import context

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results" / "performance.json"
CONVERSATION = Path(__file__).parents[1] / "ser_agent" / "samples" / "conversation.ogg"
UTTERANCE_S = 3.0
REPEATS = 15
THREADS = 2


def main() -> None:
    """Measure everything, print a table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to watch the idle agent")
    args = parser.parse_args()
    figures: dict[str, Any] = {"threads": THREADS, "utterance_s": UTTERANCE_S}
    figures |= measure_classifiers()
    figures |= measure_start()
    figures |= measure_idle(args.seconds)
    figures |= measure_latency()
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(performance_table(figures))


def measure_classifiers() -> dict[str, float]:
    """Seconds of work for one utterance of 3 s: the agent's classifier and the peer, alternately."""
    samples = speech(UTTERANCE_S)
    utterance = Utterance(samples, 0, "silence", captured_at=0.0, closed_at=UTTERANCE_S)
    classifier = Wav2Vec2Classifier(Wav2Vec2Options(threads=THREADS), context())
    classifier.load()
    peer = peer_pipeline()
    ours, theirs = alternately(lambda: classifier.classify([utterance]), lambda: peer(float_from_pcm16(samples)))
    classifier.close()
    return {
        "classify_s": round(ours, 4),
        "real_time_factor": round(ours / UTTERANCE_S, 4),
        "peer_real_time_factor": round(theirs / UTTERANCE_S, 4),
        "times_faster_than_peer": round(theirs / ours, 1),
    }


def peer_pipeline() -> Callable[[Any], Any]:
    """``transformers.pipeline`` with a model of wav2vec2-base's shape."""
    torch.set_num_threads(THREADS)
    model = Wav2Vec2ForSequenceClassification(Wav2Vec2Config(id2label=dict(enumerate("abcdefg")))).eval()
    return pipeline("audio-classification", model=model, feature_extractor=Wav2Vec2FeatureExtractor())


def alternately(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of two calls that take turns, so that the machine's moods hit both."""
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(REPEATS + 1):
        for call, taken in zip((first, second), times, strict=True):
            began = time.perf_counter()
            call()
            if repeat:  # the first round warms up
                taken.append(time.perf_counter() - began)
    return statistics.median(times[0]), statistics.median(times[1])


def measure_start() -> dict[str, float]:
    """Seconds from the command to READY=1 with warm caches, and memory then."""
    times = []
    for _ in range(3):
        with RunningAgent(silence(60)) as agent:
            times.append(agent.ready_s)
            memory_mb = agent.process.memory_info().rss / 2**20
    help_times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([program(), "--help"], check=True, stdout=subprocess.DEVNULL)
        help_times.append(time.perf_counter() - began)
    return {
        "start_s": round(min(times[1:]), 2),
        "resident_mb": round(memory_mb),
        "help_s": round(min(help_times), 2),
    }


def measure_idle(seconds: float) -> dict[str, float]:
    """Processor time of an agent that hears silence, and one that hears a noisy room, in percent of one core."""
    rng = np.random.default_rng(1)
    hiss = (rng.normal(0, 120, round((seconds + 30) * SAMPLE_RATE))).astype(np.int16)
    figures = {}
    for name, sound in (("silence", silence(seconds + 30)), ("hiss", hiss)):
        with RunningAgent(sound) as agent:
            began, cpu = time.monotonic(), agent.cpu_s
            time.sleep(seconds)
            figures[f"idle_cpu_percent_{name}"] = round(100 * (agent.cpu_s - cpu) / (time.monotonic() - began), 2)
    return figures


def measure_latency() -> dict[str, float]:
    """From the sound that decided an utterance's end to its event, on the bundled conversation in real time."""
    command = [program(), "run", *quiet_config(), "--source", str(CONVERSATION), "--set", "source.realtime=true"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    latencies = [json.loads(line)["latency_ms"] for line in done.stdout.splitlines() if line.startswith("{")]
    return {
        "latency_events": len(latencies),
        "latency_p50_ms": round(statistics.median(latencies)),
        "latency_p95_ms": round(float(np.quantile(latencies, 0.95))),
    }


class RunningAgent:
    """An agent in a process of its own that plays a sound in real time; ``ready_s`` is what READY=1 took."""

    def __init__(self, sound: np.ndarray[Any, Any]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name)
        soundfile.write(path / "sound.wav", sound, SAMPLE_RATE)
        self._supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._supervisor.bind(str(path / "notify"))
        self._supervisor.settimeout(120)
        command = [program(), "run", *quiet_config(), "--source", str(path / "sound.wav")]
        environment = os.environ | {"NOTIFY_SOCKET": str(path / "notify")}
        began = time.perf_counter()
        self._popen = subprocess.Popen(
            [*command, "--set", "source.realtime=true"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while b"READY=1" not in self._supervisor.recv(500):
            pass
        self.ready_s = time.perf_counter() - began
        self.process = psutil.Process(self._popen.pid)

    @property
    def cpu_s(self) -> float:
        """Processor seconds used so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._popen.terminate()
        self._popen.wait(20)
        self._supervisor.close()
        self._folder.cleanup()


def quiet_config() -> list[str]:
    """Events as JSON lines to standard output and nowhere else."""
    return ["--set", "sinks=[{type: jsonlines}]"]


def program() -> str:
    """The command ``ser-agent`` of this environment."""
    return str(Path(sys.executable).with_name("ser-agent"))


def silence(seconds: float) -> np.ndarray[Any, Any]:
    """Digital silence, int16."""
    return np.zeros(round(seconds * SAMPLE_RATE), dtype=np.int16)


def speech(seconds: float) -> np.ndarray[Any, Any]:
    """The first seconds of the bundled conversation, int16."""
    samples, _ = soundfile.read(CONVERSATION, dtype="int16", frames=round(seconds * SAMPLE_RATE))
    return np.asarray(samples)


if __name__ == "__main__":
    main()
