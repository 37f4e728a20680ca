"""A fleet on paper: people who speak at random, a broker that deals to workers in turn, workers of a known pace.

    python -m benchmarks.fleet_simulation --rooms 10000 --per-hour 60 --workers 8

What it leaves out: a room's talk comes in bursts, which even out over many rooms only; workers that die or stall;
what batches save; the broker's own limits.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
import simpy

if TYPE_CHECKING:
    from collections.abc import Generator

    Process: TypeAlias = Generator[simpy.Event, Any, None]

Dealing: TypeAlias = Literal["in turn", "one queue"]
LOAD_MOST: Final = 0.8
SHED_MOST: Final = 0.001
LATENCY_MOST_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is simulated.

    Attributes:
        rooms: how many.
        per_hour: utterances of a room in an hour, on average.
        workers: how many, each with one thread.
        lengths_s: lengths of utterances, each as likely as the others, seconds.
        service_s: what a worker takes for any utterance, seconds.
        service_per_s: and for each second of sound besides.
        broker_s: from satellite to worker, or back, seconds.
        expires_s: after so long an answer is of no use.
        dealing: ``in turn`` as brokers do it, to each worker's own queue however long it is; ``one queue`` as
            would be best.
    """

    rooms: int
    per_hour: float
    workers: int
    lengths_s: tuple[float, ...]
    service_s: float
    service_per_s: float
    broker_s: float = 0.002
    expires_s: float = 10.0
    dealing: Dealing = "in turn"

    @property
    def asked_per_s(self) -> float:
        """Utterances a second of all rooms."""
        return self.rooms * self.per_hour / 3600

    @property
    def mean_service_s(self) -> float:
        """What an utterance takes on average, seconds."""
        return self.service_s + self.service_per_s * float(np.mean(self.lengths_s))

    @property
    def load(self) -> float:
        """Work that comes in, by what the workers can do: over 1 some is shed."""
        return self.asked_per_s * self.mean_service_s / self.workers


@dataclass(slots=True)
class Outcome:
    """What came of it.

    Attributes:
        asked: utterances that satellites asked about.
        shed: those that had expired when a worker came to them.
        open: those that waited, or were in work, at the end.
        seconds: simulated time.
        waits_s: of each answered one in the queue.
        latencies_s: of each answered one from asking to the answer.
    """

    asked: int = 0
    shed: int = 0
    open: int = 0
    seconds: float = 0.0
    waits_s: list[float] = field(default_factory=list)
    latencies_s: list[float] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """Utterances whose answer came."""
        return len(self.waits_s)

    @property
    def shed_share(self) -> float:
        """Of those that are no longer open, 0 to 1."""
        return self.shed / max(self.shed + self.answered, 1)

    def latency_s(self, quantile: float) -> float:
        """A quantile of the latencies; infinite where nothing was answered."""
        return float(np.quantile(self.latencies_s, quantile)) if self.latencies_s else float("inf")

    def wait_s(self, quantile: float) -> float:
        """A quantile of the waits; infinite where nothing was answered."""
        return float(np.quantile(self.waits_s, quantile)) if self.waits_s else float("inf")


def simulate(fleet: Fleet, seconds: float, seed: int = 0, settle_s: float = 0.0) -> Outcome:
    """Let a fleet work.

    Args:
        fleet: of whom.
        seconds: how long it is watched, in simulated time.
        seed: of chance.
        settle_s: how long it works before that; what waits then counts as asked at the beginning.
    """
    rng = np.random.default_rng(seed)
    world = simpy.Environment()
    outcome = Outcome(seconds=seconds)
    queues = [simpy.Store(world) for _ in range(fleet.workers if fleet.dealing == "in turn" else 1)]
    world.process(_rooms(world, fleet, queues, rng, outcome))
    for number in range(fleet.workers):
        world.process(_worker(world, fleet, queues[number % len(queues)], outcome))
    if settle_s > 0:
        world.run(until=settle_s)
        outcome.asked -= outcome.shed + outcome.answered
        outcome.shed = 0
        outcome.waits_s.clear()
        outcome.latencies_s.clear()
    world.run(until=settle_s + seconds)
    outcome.open = outcome.asked - outcome.shed - outcome.answered
    return outcome


def _rooms(
    world: simpy.Environment, fleet: Fleet, queues: list[simpy.Store], rng: np.random.Generator, outcome: Outcome
) -> Process:
    """All rooms together: utterances at random, dealt to the queues in turn."""
    while True:
        yield world.timeout(rng.exponential(1 / fleet.asked_per_s))
        length_s = fleet.lengths_s[rng.integers(len(fleet.lengths_s))]
        world.process(_deliver(world, fleet, queues[outcome.asked % len(queues)], length_s))
        outcome.asked += 1


def _deliver(world: simpy.Environment, fleet: Fleet, queue: simpy.Store, length_s: float) -> Process:
    asked_at = world.now
    yield world.timeout(fleet.broker_s)
    yield queue.put((asked_at, world.now, length_s))


def _worker(world: simpy.Environment, fleet: Fleet, queue: simpy.Store, outcome: Outcome) -> Process:
    while True:
        asked_at, queued_at, length_s = yield queue.get()
        if world.now - asked_at > fleet.expires_s:
            outcome.shed += 1
            continue
        wait_s = world.now - queued_at
        yield world.timeout(fleet.service_s + fleet.service_per_s * length_s)
        outcome.waits_s.append(wait_s)
        outcome.latencies_s.append(world.now - asked_at + fleet.broker_s)


def workers_needed(fleet: Fleet, seconds: float, most: int = 1024) -> int:
    """The fewest workers with a fifth of their time to spare that shed nearly nothing and answer within a second.

    Raises:
        ValueError: ``most`` are not enough.
    """
    workers = math.ceil(fleet.asked_per_s * fleet.mean_service_s / LOAD_MOST)
    while workers <= most:
        outcome = simulate(replace(fleet, workers=workers), seconds)
        if outcome.shed_share <= SHED_MOST and outcome.latency_s(0.95) <= LATENCY_MOST_S:
            return workers
        workers += 1
    raise ValueError(f"{most} workers are not enough for {fleet.asked_per_s:.0f} utterances a second")


def main() -> None:
    """Simulate one fleet and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", type=int, default=10_000)
    parser.add_argument("--per-hour", type=float, default=60.0, help="utterances of a room")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--length", type=float, nargs="+", default=[3.0], help="of utterances, seconds")
    parser.add_argument("--service-ms", type=float, default=2.0, help="for any utterance")
    parser.add_argument("--service-ms-per-s", type=float, default=8.0, help="and for each second of it")
    parser.add_argument("--expires", type=float, default=10.0, help="seconds")
    parser.add_argument("--seconds", type=float, default=60.0, help="of simulated time")
    parser.add_argument("--one-queue", action="store_true", help="instead of dealing in turn")
    args = parser.parse_args()
    fleet = Fleet(
        rooms=args.rooms,
        per_hour=args.per_hour,
        workers=args.workers,
        lengths_s=tuple(args.length),
        service_s=args.service_ms / 1000,
        service_per_s=args.service_ms_per_s / 1000,
        expires_s=args.expires,
        dealing="one queue" if args.one_queue else "in turn",
    )
    outcome = simulate(fleet, args.seconds)
    print(f"{fleet.asked_per_s:.1f} utterances a second, load {100 * fleet.load:.0f} %")
    print(f"answered {outcome.answered / args.seconds:.1f} a second, shed {100 * outcome.shed_share:.2f} %")
    quantiles = (f"p{100 * q:.0f} {1000 * outcome.latency_s(q):.0f} ms" for q in (0.5, 0.95, 0.99))
    print(f"latency {', '.join(quantiles)}")


if __name__ == "__main__":
    main()
