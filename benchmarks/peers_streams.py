"""Several streams at once through detectors and classifier, as one agent hears its satellites; without the broker.

    python -m benchmarks.peers_streams STREAMS SECONDS

Each stream has a detector and a segmenter of its own, and its own place in the same speech, a conversation with
pauses; a block of 64 ms is taken of each in turn, and what has ended by then is classified together. It runs as
fast as it can, on one thread, and counts the processor's time, so a busy machine only makes it take longer.
``benchmarks.load`` is the measurement in real time, over a broker.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.load import duties
from benchmarks.peers_files import peak_mb
from ser_agent.app import Workshop
from ser_agent.audio import SAMPLE_RATE, AudioFrame, Utterance
from ser_agent.config import load

if TYPE_CHECKING:
    from collections.abc import Sequence

STREAMS: Final = (1, 4, 16, 64)
STREAM_SECONDS: Final = 128
"""What all streams of a row hear together at least: one alone plays as long as that."""
LEAST_S: Final = 8
BLOCK: Final = 1024
ROUNDS: Final = 3


def measure_streams(counts: Sequence[int]) -> dict[str, Any]:
    """Processor milliseconds for a second of one stream: the least, middle and largest of the rounds; and memory.

    Args:
        counts: of streams.
    """
    found: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for _ in range(ROUNDS):  # in turns, so that the machine's moods hit all
        for count in counts:
            seconds = max(LEAST_S, STREAM_SECONDS // count)
            command = [sys.executable, "-m", __name__, str(count), str(seconds)]
            told = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
            found[count].append(json.loads(told))
            print(count, told.strip(), flush=True)
    return {str(count): _row(rounds) for count, rounds in found.items()}


def _row(rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    costs = sorted(one["cpu_ms_a_second"] for one in rounds)
    return {
        "cpu_ms_a_second": costs[len(costs) // 2],
        "cpu_ms_a_second_least": costs[0],
        "cpu_ms_a_second_most": costs[-1],
        "utterances_a_minute": rounds[0]["utterances_a_minute"],
        "peak_mb": max(one["peak_mb"] for one in rounds),
    }


def heard(count: int, seconds: float) -> dict[str, float]:
    """Let so many streams play for so long, in this process.

    Args:
        count: of streams.
        seconds: of sound that each plays.
    """
    workshop = Workshop(load(overrides=("classifier.engine=onnx", "classifier.threads=1")))
    classifier = workshop.classifier()
    classifier.load()
    endpointers = [workshop.endpointer() for _ in range(count)]
    (talk,) = (duty.sound for duty in duties() if duty.name == "talk")
    places = [number * len(talk) // count for number in range(count)]
    utterances = 0
    began_s = time.process_time()
    for start in range(0, round(seconds * SAMPLE_RATE), BLOCK):
        ended: list[Utterance] = []
        for place, endpointer in zip(places, endpointers, strict=True):
            samples = talk.take(np.arange(place + start, place + start + BLOCK), mode="wrap")
            frame = AudioFrame(samples, start, start / SAMPLE_RATE, starts_stream=start == 0)
            ended += [output for output in endpointer.feed(frame) if isinstance(output, Utterance)]
        if ended:
            classifier.classify(ended)
            utterances += len(ended)
    cpu_s = time.process_time() - began_s
    classifier.close()
    return {
        "cpu_ms_a_second": round(1000 * cpu_s / (count * seconds), 2),
        "utterances_a_minute": round(60 * utterances / (count * seconds), 1),
        "peak_mb": round(peak_mb(), 1),
    }


if __name__ == "__main__":
    print(json.dumps(heard(int(sys.argv[1]), float(sys.argv[2]))))
