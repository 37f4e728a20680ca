"""An outbox on disk, with clocks that a test can set."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

from support.events import an_event

from ser_agent.ports import PluginContext
from ser_agent.sinks import mqtt_events
from ser_agent.sinks.mqtt_options import MqttOptions
from ser_agent.sinks.mqtt_topics import Publication, Topics
from ser_agent.sinks.outbox_clock import Clocks
from ser_agent.state import StateFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from ser_agent.sinks.outbox import Outbox
    from ser_agent.sinks.outbox_journal import Journal

NOON_S = 1_795_000_000.0
"""Some noon after the clocks were first set."""


class HasClocks(Protocol):
    """A machine, or what stands in for one."""

    @property
    def clocks(self) -> Clocks:
        """Its clocks."""


@dataclass
class Machine:
    """The clocks of a machine that is switched on and off, and whose wall clock is set."""

    boots: int = 1
    boot_s: float = 1e6
    wall_s: float = NOON_S

    def pass_by(self, seconds: float) -> None:
        """Time goes by."""
        self.boot_s += seconds
        self.wall_s += seconds

    def set_wall(self, by_s: float) -> None:
        """Somebody sets the wall clock."""
        self.wall_s += by_s

    def reboot(self, off_s: float = 60.0) -> None:
        """Off for so long, and on again; the wall clock has a battery."""
        self.boots += 1
        self.wall_s += off_s
        self.boot_s = 20.0

    @property
    def clocks(self) -> Clocks:
        """As the outbox sees them."""
        return Clocks(f"boot-{self.boots}", lambda: self.boot_s, lambda: self.wall_s)


@dataclass
class DiskOutbox:
    """An outbox and its journal, used as a mailbox uses them."""

    path: Path
    outbox: Outbox[Publication]
    journal: Journal

    @classmethod
    def open(cls, folder: Path, machine: HasClocks, *, site: str = "test", **keys: Any) -> Self:  # noqa: ANN401
        """Open the one in a folder; ``keys`` as in the YAML."""
        options = MqttOptions(outbox="disk", **keys)
        state = StateFile()
        state.path = folder / "agent-0.json"
        context = PluginContext(site, folder, state)
        path = mqtt_events.outbox_path(context)
        outbox, journal = mqtt_events.make_outbox(options, context, machine.clocks)
        assert path is not None
        assert journal is not None
        return cls(path, outbox, journal)

    def accept(self, *numbers: int) -> None:
        """Accept events."""
        for number in numbers:
            self.outbox.add(Topics("ser-agent", "test").event(an_event(number)))
            self.journal.sync()

    def accept_together(self, *numbers: int) -> None:
        """Accept events, and store them at once."""
        for number in numbers:
            self.outbox.add(Topics("ser-agent", "test").event(an_event(number)))
        self.journal.sync()

    def deliver(self, count: int = 1) -> list[int]:
        """Hand out and acknowledge events; their numbers."""
        numbers = []
        for _ in range(count):
            taken = self.outbox.take()
            if taken is None:
                break
            ticket, publication = taken
            self.outbox.acknowledge(ticket)
            self.journal.tidy()
            numbers.append(number_of(publication))
        return numbers

    def close(self) -> int:
        """End it in good order; how many events were lost by that."""
        self.journal.close()
        return self.outbox.abandon("the end", self.journal.holds)

    def crash(self) -> None:
        """End as a process that is killed: nothing is written any more."""
        self.journal._drop_database()


@contextmanager
def reopened(folder: Path, machine: HasClocks, **keys: Any) -> Iterator[DiskOutbox]:  # noqa: ANN401
    """The outbox in a folder, as after a restart."""
    box = DiskOutbox.open(folder, machine, **keys)
    try:
        yield box
    finally:
        box.close()


def folder_in_memory() -> tempfile.TemporaryDirectory[str]:
    """A folder for what need not wait for a real disk; on the disk after all where there is no such."""
    memory = "/dev/shm"  # noqa: S108 - the folder in it is private
    return tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None)


def number_of(publication: Publication) -> int:
    """The number that an event was made with."""
    return int(json.loads(publication.payload)["id"])


def tamper(path: Path, statement: str, *values: object) -> None:
    """Change the file behind everybody's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings and errors that were logged."""
    return [record.getMessage() for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]
