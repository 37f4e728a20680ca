"""Measuring one engine on this machine: what a process of its own does for ``ser-agent bench``."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser_agent.audio import SAMPLE_RATE, Samples, Utterance
from ser_agent.audio_files import stream_file
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.errors import SerAgentError, UnavailableError
from ser_agent.ports import PluginContext
from ser_agent.trial import CONVERSATION

if TYPE_CHECKING:
    from collections.abc import Sequence

SPEECH_S = 3.0
LEAST_ROUNDS = 5
METER = Path("/sys/class/powercap/intel-rapl:0/energy_uj")
"""Microjoules that the first processor package has used, where Linux and the processor tell."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is measured.

    Attributes:
        model: as in the configuration; a folder's path is absolute.
        engine: ``onnx`` or ``torch``.
        precision: ``int8`` or ``float32``.
        threads: of the processor.
    """

    model: str
    engine: str
    precision: str
    threads: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found.

    Attributes:
        load_s: seconds until the model could answer, imports included.
        p50_s: seconds for an utterance of ``SPEECH_S``, half of the time.
        p95_s: the same, 95 % of the time.
        cpu_s: processor seconds for one.
        resident_mb: MiB of memory at most, of the whole process.
        joules: energy of the processor for one, whatever else it did; None where the machine does not tell.
    """

    load_s: float
    p50_s: float
    p95_s: float
    cpu_s: float
    resident_mb: float
    joules: float | None

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of speech."""
        return self.p50_s / SPEECH_S


def measure_apart(setting: Setting, seconds: float) -> Measured:
    """Measure in a process of its own, whose memory is the engine's alone.

    Raises:
        UnavailableError: the engine cannot be had here; the message says why.
    """
    command = [sys.executable, "-m", __name__, json.dumps(asdict(setting)), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - itself
    if done.returncode:
        raise UnavailableError(done.stderr.strip().rpartition("\n")[2] or "it died")
    return Measured(**json.loads(done.stdout))


def measure(setting: Setting, seconds: float) -> Measured:
    """Measure in this process.

    Raises:
        SerAgentError: the model cannot be had.
    """
    began = time.perf_counter()
    chosen = Wav2Vec2Options.model_validate({**asdict(setting), "device": "cpu"})
    classifier = Wav2Vec2Classifier(chosen, PluginContext("bench", Path.cwd()))
    classifier.load()
    load_s = time.perf_counter() - began
    utterance = Utterance(speech(SPEECH_S), 0, "silence", captured_at=0.0, closed_at=SPEECH_S)
    classifier.classify([utterance])  # the first of a length is slower
    times: list[float] = []
    joules, cpu_s, end = _joules(), time.process_time(), time.perf_counter() + seconds
    while len(times) < LEAST_ROUNDS or time.perf_counter() < end:
        began = time.perf_counter()
        classifier.classify([utterance])
        times.append(time.perf_counter() - began)
    used, spent = _joules(), time.process_time() - cpu_s
    classifier.close()
    wrapped = joules is None or used is None or used < joules
    return Measured(
        load_s=load_s,
        p50_s=float(np.quantile(times, 0.5)),
        p95_s=float(np.quantile(times, 0.95)),
        cpu_s=spent / len(times),
        resident_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        joules=None if wrapped or joules is None or used is None else (used - joules) / len(times),
    )


def speech(seconds: float) -> Samples:
    """The first seconds of the bundled conversation, over and over where it is too short; int16."""
    count = round(seconds * SAMPLE_RATE)
    blocks = stream_file(Path(str(files("ser_agent").joinpath(CONVERSATION))))
    start = np.concatenate(list(islice(blocks, max(1, int(seconds) + 1))))
    return np.resize(start, count)


def _joules() -> float | None:
    try:
        return int(METER.read_text(encoding="ascii")) / 1e6
    except (OSError, ValueError):
        return None


def main(arguments: Sequence[str]) -> int:
    """Measure one setting and print it as JSON."""
    try:
        found = measure(Setting(**json.loads(arguments[0])), float(arguments[1]))
    except SerAgentError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
