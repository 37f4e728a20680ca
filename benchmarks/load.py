"""How many satellites one machine holds: real speech, in real time, over a real broker.

    python -m benchmarks.load [--cores 0,1] [--seconds 7] [--streams 1 2 4 8 16 32 64]

A mosquitto, an agent with the Hermes source, and, in this process, a client that speaks for all satellites; they
share the machine. Each satellite has its own place in the same speech. Three duties: ``home``, somebody says
something every half minute at each of them; ``talk``, at each of them a conversation with pauses; ``always``,
everybody everywhere talks without a pause. Last, ``always`` once more with an agent that may run only for 30 ms of
every 100, as on a machine that is too slow by far.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.load_parts import CHUNK_S, Player, RunningAgent, RunningBroker, Slowed, messages_of
from benchmarks.readme import load_table
from ser_agent.audio import SAMPLE_RATE
from ser_agent.audio_files import read_utterance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ser_agent.audio import Samples

RESULTS: Final = Path(__file__).parent / "results" / "load.json"
ROOT: Final = Path(__file__).resolve().parents[1]
STREAMS: Final = (1, 2, 4, 8, 16, 32, 64)
OVERLOAD_FROM: Final = 8
OVERLOAD_SHARE: Final = 0.3
SETTLE_S: Final = 20.0
"""How long the agent may take for what was said last."""
PHRASE_EVERY_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Duty:
    """How much is said.

    Attributes:
        name: of it.
        sound: what all satellites play, each from a place of its own, over and over.
        spoken: part of it that is speech with its pauses of less than a second, 0 to 1.
    """

    name: str
    sound: Samples
    spoken: float


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", default="", help="of the agent and the broker, such as 0,1; all by default")
    parser.add_argument("--seconds", type=float, default=7.0, help="of speech for each row")
    parser.add_argument("--streams", type=int, nargs="+", default=list(STREAMS), help="numbers of satellites")
    args = parser.parse_args()
    cores = {int(core) for core in args.cores.split(",") if core} or set(os.sched_getaffinity(0))
    rows = measure(cores, [(duty, count) for duty in duties() for count in args.streams], args.seconds)
    too_much = [(duties()[-1], count) for count in args.streams if count >= OVERLOAD_FROM]
    overload = measure(cores, too_much, args.seconds, share=OVERLOAD_SHARE)
    figures = {"cores": len(cores), "seconds": args.seconds, "rows": rows, "overload": overload}
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(load_table([*rows, *overload]))


def duties() -> list[Duty]:
    """Little, much, and all the time."""
    clips = [read_utterance(path) for path in sorted((ROOT / "tests" / "data").glob("*.opus"))]
    speech_s = sum(map(len, clips)) / SAMPLE_RATE
    return [
        _paused("home", clips, PHRASE_EVERY_S - speech_s / len(clips)),
        _paused("talk", clips, 1.5),
        Duty("always", np.concatenate(clips), 1.0),
    ]


def _paused(name: str, clips: Sequence[Samples], pause_s: float) -> Duty:
    pause = np.random.default_rng(1).normal(0, 8, round(pause_s * SAMPLE_RATE)).astype(np.int16)
    sound = np.concatenate([part for clip in clips for part in (clip, pause)])
    return Duty(name, sound, sum(map(len, clips)) / len(sound))


def measure(
    cores: set[int], plan: Sequence[tuple[Duty, int]], seconds: float, share: float = 1.0
) -> list[dict[str, Any]]:
    """One row for each number of satellites and duty, all with one agent, which runs a share of the time."""
    if shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        raise SystemExit("mosquitto is not installed")
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningBroker(Path(folder), cores) as broker,
        RunningAgent(Path(folder), broker.port, cores) as agent,
        Player(broker.port) as player,
        Slowed(agent.pid, share) if share < 1.0 else contextlib.nullcontext(),
    ):
        for duty, count in plan:
            rows.append(_row(agent, player, duty, count, seconds) | {"cores": len(cores)})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def _row(agent: RunningAgent, player: Player, duty: Duty, count: int, seconds: float) -> dict[str, Any]:
    before, first_event = agent.settled(SETTLE_S), len(agent.events)
    began_s, cpu_s = time.monotonic(), agent.cpu_s
    late_s = player.play(messages_of(duty.sound), count, seconds)
    cpu_percent = 100 * (agent.cpu_s - cpu_s) / (time.monotonic() - began_s)
    player.hush(count)
    after = agent.settled(SETTLE_S)
    latencies = [event["latency_ms"] for event in agent.events[first_event:]]
    dropped = Counter(after["dropped"])
    dropped.subtract(before["dropped"])
    return {
        "duty": duty.name,
        "spoken_percent": round(100 * duty.spoken),
        "streams": count,
        "begun": after["utterances"] - before["utterances"],
        "published": after["published"] - before["published"],
        "failed": sum(after["failed"].values()) - sum(before["failed"].values()),
        "not_speech": dropped["too_short"] + dropped["non_speech"],
        "overload": dropped["overload"],
        "shed_s": round((after["source"]["shed"] - before["source"]["shed"]) * CHUNK_S, 1),
        "p50_ms": round(float(np.quantile(latencies, 0.5))) if latencies else None,
        "p95_ms": round(float(np.quantile(latencies, 0.95))) if latencies else None,
        "cpu_percent": round(cpu_percent),
        "player_late_ms": round(1000 * late_s),
    }


if __name__ == "__main__":
    main()
