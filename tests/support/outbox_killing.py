"""Kills the owner of an outbox at random moments, and looks each time what is left: run as a program.

``python -m support.outbox_killing FOLDER KILLS SEED`` prints what happened as one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from support.outbox import DiskOutbox, number_of

from ser_agent.sinks.outbox_clock import Clocks, boot_id

MOST_REPORTS = 16
LAST_MOMENT_S = 0.03
MOST_WAITING = 40


class RealMachine:
    """The clocks of this one."""

    @property
    def clocks(self) -> Clocks:
        """As they are."""
        return Clocks(boot_id())


def live(folder: Path, first: int, report: int, rng: random.Random) -> None:
    """Accept numbered events and deliver some, and report each: what was accepted after, what arrived before."""
    box = DiskOutbox.open(folder, RealMachine())
    os.write(report, f"opened {first}\n".encode())
    number = first
    while True:
        if len(box.outbox) > MOST_WAITING or rng.random() < 0.5:
            if (taken := box.outbox.take()) is not None:
                ticket, publication = taken
                os.write(report, f"arrived {number_of(publication)}\n".encode())
                box.outbox.acknowledge(ticket)
                box.journal.tidy()
        else:
            box.accept(number)
            os.write(report, f"accepted {number}\n".encode())
            number += 1


def kill_one(folder: Path, first: int, rng: random.Random) -> list[tuple[str, int]]:
    """One life and its end; what it reported."""
    out, report = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        try:
            live(folder, first, report, random.Random(first))  # noqa: S311 - not a secret
        finally:
            os._exit(3)
    os.close(report)
    # It lives until it has said so much, however slow the machine is, and a moment longer.
    wanted = rng.randint(0, MOST_REPORTS)
    told = b""
    while told.count(b"\n") < wanted and (said := os.read(out, 1000)):
        told += said
    time.sleep(rng.uniform(0.0, LAST_MOMENT_S))
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it ended by itself"
    with os.fdopen(out, "rb") as rest:
        told += rest.read()
    return [(what, int(number)) for what, number in map(str.split, told.decode().splitlines())]


def main() -> None:
    """Kill as often as is asked for."""
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)  # noqa: S311 - not a secret
    accepted: set[int] = set()
    arrived: set[int] = set()
    lost: list[int] = []
    unborn = repeated = 0
    first = 0
    for _ in range(kills):
        reports = kill_one(folder, first, rng)
        unborn += not reports
        accepted |= {number for what, number in reports if what == "accepted"}
        arrived |= {number for what, number in reports if what == "arrived"}
        box = DiskOutbox.open(folder, RealMachine())
        waiting = [number_of(kept.item) for kept in box.outbox._waiting]
        assert waiting == sorted(set(waiting)), f"out of order: {waiting}"
        assert box.outbox.lost == 0, box.outbox.losses
        lost += accepted - arrived - set(waiting)
        repeated += len(arrived & set(waiting))
        accepted |= set(waiting)  # stored, and killed before it could say so
        first = max(accepted, default=-1) + 1
        box.crash()
    result = {"kills": kills, "unborn": unborn, "accepted": len(accepted), "lost": lost, "repeated": repeated}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
