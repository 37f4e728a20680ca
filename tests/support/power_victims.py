"""What a power cut may hit: run as a program, it keeps things in a folder and says so on its standard output.

``python -m support.power_victims outbox|state|lines FOLDER COUNT [careless]``; a careless one waits for no disk.
"""

from __future__ import annotations

import os
import random
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from support.events import an_event
from support.outbox import DiskOutbox, Machine, number_of

from ser_agent.ports import PluginContext
from ser_agent.sinks.jsonlines import JsonLinesOptions, JsonLinesSink
from ser_agent.sinks.outbox_database import Database
from ser_agent.state import StateFile

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 20261127
MOST_WAITING = 12
LINES = "events.jsonl"


def say(what: str, number: int) -> None:
    """One report, in one system call."""
    os.write(1, f"{what} {number}\n".encode())


def keep_events(folder: Path, count: int) -> None:
    """Accept numbered events, deliver some, and end and begin again now and then.

    Said is what was accepted after, what arrived before.
    """
    rng = random.Random(SEED)  # noqa: S311 - not a secret
    box = DiskOutbox.open(folder, Machine())
    number = 0
    while number < count:
        choice = rng.random()
        if choice < 0.04:
            box.close()
            box = DiskOutbox.open(folder, Machine())
        elif len(box.outbox) > MOST_WAITING or choice < 0.4:
            if (taken := box.outbox.take()) is not None:
                ticket, publication = taken
                say("arrived", number_of(publication))
                box.outbox.acknowledge(ticket)
                box.journal.tidy()
        else:
            box.accept(number)
            say("accepted", number)
            number += 1
    box.close()


def keep_a_fact(folder: Path, count: int) -> None:
    """Remember one number after the other."""
    state = StateFile(folder / "agent-0.json")
    for number in range(count):
        state.write("steering", {"number": number})
        say("remembered", number)
    state.close()


def write_lines(folder: Path, count: int) -> None:
    """Append numbered events to a file of a few kilobytes, rotated."""
    folder.mkdir(parents=True)
    with lines_sink(folder) as sink:
        for number in range(count):
            sink.publish(an_event(number))
            say("written", number)


@contextmanager
def lines_sink(folder: Path) -> Iterator[JsonLinesSink]:
    """What writes them."""
    sink = JsonLinesSink(JsonLinesOptions(path=LINES, max_bytes=4000), PluginContext("test", folder))
    sink.open()
    yield sink
    sink.close()


def at_once(fd: object) -> None:
    """In the place of ``os.fsync``."""


def sync_nothing() -> None:
    """Have neither the outbox nor the state file wait for the disk."""
    apply = Database.apply
    Database.apply = lambda *given, durable: apply(*given, durable=durable and False)  # type: ignore[method-assign]
    os.fsync = at_once


def main() -> None:
    """Keep something."""
    what, folder, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if "careless" in sys.argv:
        sync_nothing()
    {"outbox": keep_events, "state": keep_a_fact, "lines": write_lines}[what](folder, count)


if __name__ == "__main__":
    main()
