"""What a fleet does: utterances a second, latency, bytes, memory; and what it would do with more workers.

    python -m benchmarks.fleet [--cores 0,1] [--seconds 8]

A mosquitto, worker processes with one thread each, and satellites in this process share the machine. On a busy one
read the processor seconds, not those of the clock; the simulation uses the former alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psutil

from benchmarks.fleet_parts import (
    CountingWire,
    SatelliteProcess,
    Workers,
    cpu_s,
    remote,
    utterance_of,
)
from benchmarks.fleet_simulation import Fleet, simulate, workers_needed
from benchmarks.load_parts import RunningBroker
from benchmarks.satellite_memory import measure as measure_memory
from ser_agent.audio import SAMPLE_RATE
from ser_agent.audio_files import read_utterance
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.fleet_wire import decode_sound, encode_sound
from ser_agent.testing import context

if TYPE_CHECKING:
    from ser_agent.audio import Samples

RESULTS: Final = Path(__file__).parent / "results" / "fleet.json"
CONVERSATION: Final = Path(__file__).parents[1] / "ser_agent" / "samples" / "conversation.ogg"
UTTERANCE_S: Final = 3.0
LENGTHS_S: Final = (1.0, 2.0, 3.0, 5.0, 8.0)
"""Of utterances; the simulation takes each of them for as likely as the others."""
WORKERS: Final = (1, 2, 4)
SIMULATED: Final = (1, 2, 4, 8, 16, 32, 64)
ROOMS: Final = 10_000
RATES: Final = {"a quiet home": 20, "a family at supper": 200, "a meeting that never ends": 700}
"""Utterances of a room in an hour. Assumptions, each said in docs/scale.md."""
ASKERS: Final = 12
REPEATS: Final = 25
SIMULATED_S: Final = 20.0
OVERLOADED_S: Final = 45.0
"""Until what waits is as old as it may be."""
SILENCE_S: Final = 150.0
IDLE_S: Final = 120.0
"""Twice as long as between two messages of ``stats``."""
SETTLE_S: Final = 8.0
HUSH_S: Final = 40.0
"""Longer than there is between two utterances of the conversation, also where the machine is busy."""
MUCH_BYTES: Final = 50_000
"""So many that there was talk."""
MESSAGES: Final = 16
"""That a broker takes in or hands out for an utterance: sound, ``taken`` and answer, and what the site
tells (event, emotion, mood, twice speech) to one who listens; each comes in once and goes out once."""


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", default=",".join(map(str, sorted(os.sched_getaffinity(0)))))
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each number of workers is watched")
    args = parser.parse_args()
    cores = {int(core) for core in args.cores.split(",")}
    os.sched_setaffinity(0, cores)
    speech = read_utterance(CONVERSATION)
    figures: dict[str, Any] = {"cores": len(cores), "load_average": round(os.getloadavg()[0], 1)}
    figures["service"] = measure_service(speech)
    figures["flac_bytes_per_s"] = round(len(encode_sound(speech)) / (len(speech) / SAMPLE_RATE))
    with tempfile.TemporaryDirectory() as folder, RunningBroker(Path(folder), cores) as broker:
        place = Path(folder)
        figures["throughput"] = [
            measure_throughput(place, broker, many, args.seconds, speech, cores) for many in WORKERS
        ]
        with Workers(place, broker.port, 1, cores):
            figures["latency"] = measure_latency(place, broker.port, speech)
            figures["satellite"] = measure_satellite(place, broker.port, speech, cores)
    memory = measure_memory(max(cores))
    figures["satellite"] |= {"resident_mib": memory.resident_mib, "own_mib": memory.own_mib}
    figures["simulation"] = simulation_rows(figures["service"])
    figures["rooms"] = rooms_rows(figures)
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))


def measure_service(speech: Samples) -> dict[str, float]:
    """Processor time of a worker for one utterance: decoding and classifying, a line through several lengths."""
    classifier = Wav2Vec2Classifier(Wav2Vec2Options(threads=1), context())
    classifier.load()
    medians_s = []
    for length_s in LENGTHS_S:
        packed = encode_sound(speech[: round(length_s * SAMPLE_RATE)])
        times_s = []
        for _ in range(REPEATS):
            began_s = time.process_time()
            classifier.classify([utterance_of(decode_sound(packed))])
            times_s.append(time.process_time() - began_s)
        medians_s.append(statistics.median(times_s))
    classifier.close()
    per_s, any_s = np.polyfit(LENGTHS_S, medians_s, 1)
    if any_s < 0:  # a line through nothing then
        any_s, per_s = 0.0, np.dot(LENGTHS_S, medians_s) / np.dot(LENGTHS_S, LENGTHS_S)
    return {"any_ms": round(1000 * float(any_s), 2), "per_s_ms": round(1000 * float(per_s), 2)}


def measure_throughput(  # noqa: PLR0913, PLR0917 - of one call
    folder: Path, broker: RunningBroker, many: int, seconds: float, speech: Samples, cores: set[int]
) -> dict[str, Any]:
    """As many utterances as so many workers can answer, asked by satellites that always have one more."""
    clip = speech[: round(UTTERANCE_S * SAMPLE_RATE)]
    ended = threading.Event()
    answered = [0] * ASKERS

    def ask(number: int) -> None:
        satellite = remote(folder, broker.port, f"asker-{number}")
        satellite.load()
        started.wait()
        while not ended.is_set():
            answers = satellite.classify([utterance_of(clip) for _ in range(4)])
            answered[number] += sum(isinstance(answer, dict) for answer in answers)
        satellite.close()

    started = threading.Barrier(ASKERS + 1)
    with Workers(folder, broker.port, many, cores) as workers:
        threads = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(ASKERS)]
        for thread in threads:
            thread.start()
        started.wait()
        time.sleep(seconds / 4)
        watched = {"worker": workers.processes, "broker": [psutil.Process(broker.pid)]}
        before, cpu_before, began_s = sum(answered), _cpu(watched), time.monotonic()
        time.sleep(seconds)
        done, cpu, took_s = sum(answered) - before, _cpu(watched), time.monotonic() - began_s
        ended.set()
        for thread in threads:
            thread.join()
    return {
        "workers": many,
        "answered_per_s": round(done / took_s, 1),
        "worker_cpu_ms": round(1000 * (cpu["worker"] - cpu_before["worker"]) / max(done, 1), 1),
        "broker_cpu_ms": round(1000 * (cpu["broker"] - cpu_before["broker"]) / max(done, 1), 2),
        "core_answers_per_s": round(max(done, 1) / (cpu["worker"] - cpu_before["worker"]), 1),
        "worker_cores": round((cpu["worker"] - cpu_before["worker"]) / took_s, 2),
    }


def _cpu(watched: dict[str, list[psutil.Process]]) -> dict[str, float]:
    return {name: sum(cpu_s(process) for process in processes) for name, processes in watched.items()}


def measure_latency(folder: Path, port: int, speech: Samples) -> dict[str, float]:
    """One utterance at a time, here and there in turn."""
    clip = speech[: round(UTTERANCE_S * SAMPLE_RATE)]
    local = Wav2Vec2Classifier(Wav2Vec2Options(threads=1), context())
    local.load()
    far = remote(folder, port, "latency")
    far.load()
    times_s: dict[str, list[float]] = {"local": [], "remote": []}
    for repeat in range(REPEATS + 1):
        for name, classifier in (("local", local), ("remote", far)):
            utterance, began_s = utterance_of(clip), time.perf_counter()
            classifier.classify([utterance])
            if repeat:
                times_s[name].append(time.perf_counter() - began_s)
    local.close()
    far.close()
    figures = {
        f"{name}_{label}_ms": round(1000 * float(np.quantile(times, quantile)), 1)
        for name, times in times_s.items()
        for label, quantile in (("least", 0.0), ("p50", 0.5), ("p95", 0.95))
    }
    return figures | {"added_p50_ms": round(figures["remote_p50_ms"] - figures["local_p50_ms"], 1)}


def measure_satellite(folder: Path, port: int, speech: Samples, cores: set[int]) -> dict[str, float]:
    """Bytes and processor time of a whole agent: in silence, and through the conversation of the samples."""
    silence = np.zeros(round(SILENCE_S * SAMPLE_RATE), np.int16)
    with (
        CountingWire(port) as wire,
        SatelliteProcess(folder / "satellite", wire.port, [silence, speech, silence], cores) as agent,
    ):
        while wire.up == 0:
            time.sleep(0.1)
        time.sleep(SETTLE_S)
        bytes_before, cpu_before, began_s = wire.total, cpu_s(agent.process), time.monotonic()
        time.sleep(IDLE_S)
        took_s = time.monotonic() - began_s
        at_rest = wire.total - bytes_before
        idle_cpu_s = cpu_s(agent.process) - cpu_before
        before = wire.up, wire.down
        while wire.grows(HUSH_S) or wire.up - before[0] < MUCH_BYTES:
            pass
        up, down = wire.up - before[0], wire.down - before[1]
    talk_s = len(speech) / SAMPLE_RATE
    return {
        "idle_bytes_per_hour": round(3600 * at_rest / took_s),
        "idle_cpu_percent": round(100 * idle_cpu_s / took_s, 2),
        "talk_s": round(talk_s, 1),
        "talk_bytes_up": up,
        "talk_bytes_down": down,
        "talk_bytes_per_hour": round(3600 * (up + down) / talk_s),
    }


def simulation_rows(service: dict[str, float]) -> list[dict[str, Any]]:
    """Workers up to 64: at 80 % of what they can do, and at one and a half times that."""
    rows = []
    for many in SIMULATED:
        fleet = fleet_of(service, 1, 1.0, many)
        at_80, at_150 = (round(share * many / fleet.mean_service_s * 3600) for share in (0.8, 1.5))
        usual = simulate(fleet_of(service, at_80, 1.0, many), SIMULATED_S)
        too_much = simulate(fleet_of(service, at_150, 1.0, many), SIMULATED_S, settle_s=OVERLOADED_S)
        rows.append(
            {
                "workers": many,
                "capacity_per_s": round(many / fleet.mean_service_s),
                "answered_per_s": round(usual.answered / usual.seconds),
                "p50_ms": round(1000 * usual.latency_s(0.5)),
                "p95_ms": round(1000 * usual.latency_s(0.95)),
                "shed_percent": round(100 * usual.shed_share, 2),
                "overload_answered_per_s": round(too_much.answered / too_much.seconds),
                "overload_shed_percent": round(100 * too_much.shed_share, 1),
            }
        )
    return rows


def rooms_rows(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """What ten thousand rooms need, by how much is said in them."""
    rows = []
    length_s = float(np.mean(LENGTHS_S))
    for name, per_hour in RATES.items():
        fleet = fleet_of(figures["service"], ROOMS, per_hour, 1)
        payload = figures["flac_bytes_per_s"] * length_s
        rows.append(
            {
                "rooms": name,
                "per_hour": per_hour,
                "asked_per_s": round(fleet.asked_per_s, 1),
                "busy_cores": round(fleet.asked_per_s * fleet.mean_service_s, 2),
                "workers": workers_needed(fleet, SIMULATED_S),
                "broker_in_mbit_per_s": round(8 * fleet.asked_per_s * payload / 1e6, 1),
                "messages_per_s": round(MESSAGES * fleet.asked_per_s),
                "room_mb_per_hour": round(per_hour * payload / 1e6, 2),
            }
        )
    return rows


def fleet_of(service: dict[str, float], rooms: int, per_hour: float, workers: int) -> Fleet:
    """A fleet to simulate, with the measured service times."""
    return Fleet(
        rooms, per_hour, workers, LENGTHS_S, service["any_ms"] / 1000, service["per_s_ms"] / 1000, broker_s=0.002
    )


if __name__ == "__main__":
    main()
