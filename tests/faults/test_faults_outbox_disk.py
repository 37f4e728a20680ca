"""The disk under an outbox is full or read-only: events are delivered from memory, and that is said once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.disk import Disk, mounted
from support.events import an_event
from support.mqtt import Listener, Mosquitto, make_sink, opened, wait_until
from support.outbox import DiskOutbox, Machine, complaints

from ser_agent.state import StateFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 60.0
IN_MEMORY = "events are kept in memory alone, until the agent ends"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Room for an outbox and little more."""
    with mounted(tmp_path / "disk", size_kb=256) as disk:
        yield disk


def test_a_disk_that_fills_up_and_has_room_again(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    box = DiskOutbox.open(disk.folder, Machine())
    box.accept(*range(10))
    disk.fill()
    box.accept(*range(10, 120))
    (message,) = complaints(caplog)
    assert message.startswith(f"outbox {box.path}: ")
    assert message.endswith(IN_MEMORY)
    assert box.deliver(5) == [0, 1, 2, 3, 4]
    disk.make_room()
    box.accept(120)
    assert complaints(caplog)[1:] == [f"outbox {box.path}: events are kept on disk again"]
    box.crash()
    again = DiskOutbox.open(disk.folder, Machine())
    assert again.deliver(999) == list(range(5, 121))
    again.close()


def test_a_disk_that_was_full_when_the_agent_died_gives_back_what_it_had_taken(disk: Disk) -> None:
    box = DiskOutbox.open(disk.folder, Machine())
    box.accept(*range(10))
    disk.fill()
    box.accept(*range(10, 120))
    box.crash()
    disk.make_room()
    again = DiskOutbox.open(disk.folder, Machine())
    delivered = again.deliver(999)
    assert delivered[:10] == list(range(10))
    assert delivered == list(range(len(delivered))), "as many as there was room for, and no gap"
    again.close()


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_what_waits_on_such_a_disk_at_the_start_waits_there_for_a_better_one(
    disk: Disk, tmp_path: Path, trouble: str
) -> None:
    box = DiskOutbox.open(disk.folder, Machine())
    box.accept(*range(10))
    box.close()
    stored = box.path.read_bytes()
    if trouble == "full":
        disk.fill()
    else:
        disk.protect()
    box = DiskOutbox.open(disk.folder, Machine())
    box.accept(10)
    assert box.deliver(99) == [10]
    box.close()
    better = tmp_path / "better"
    better.mkdir()
    (better / box.path.name).write_bytes(stored)
    assert box.path.read_bytes() == stored, "nothing was touched"
    again = DiskOutbox.open(better, Machine())
    assert again.deliver(99) == list(range(10))
    again.close()


@pytest.mark.broker
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_an_agent_that_starts_on_such_a_disk_delivers_all_the_same(  # noqa: PLR0913, PLR0917 - fixtures
    disk: Disk,
    broker: Mosquitto,
    listener: Listener,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    trouble: str,
) -> None:
    state = StateFile(disk.folder / "state.json")
    if trouble == "full":
        disk.fill()
    else:
        state.close()
        disk.protect()
    with opened(make_sink(broker.port, tmp_path, state=state, outbox="disk")) as sink:
        for number in range(20):
            sink.publish(an_event(number))
        wait_until(lambda: len(listener.event_ids()) == 20, "all events arrive", PATIENCE_S)
        sink.flush(PATIENCE_S)
        assert sink.lost() == 0
    (message,) = complaints(caplog)
    assert message.endswith(f"{IN_MEMORY}; what waits there, if anything, waits for the next start")
    state.close()
