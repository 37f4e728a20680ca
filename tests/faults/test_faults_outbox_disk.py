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
    with mounted(tmp_path / "disk", size_kb=512) as disk:
        yield disk


def test_a_disk_that_fills_up_and_has_room_again(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    box = DiskOutbox.open(disk.folder, Machine())
    box.accept(*range(10))
    disk.fill()
    box.accept(*range(10, 300))
    (message,) = complaints(caplog)
    assert message.startswith(f"outbox {box.path}: ")
    assert message.endswith(IN_MEMORY)
    assert box.deliver(5) == [0, 1, 2, 3, 4]
    disk.make_room()
    box.accept(300)
    assert complaints(caplog)[1:] == [f"outbox {box.path}: events are kept on disk again"]
    box.crash()
    again = DiskOutbox.open(disk.folder, Machine())
    assert again.deliver(999) == list(range(5, 301))
    again.close()


def test_a_disk_that_was_full_when_the_agent_died_gives_back_what_it_had_taken(disk: Disk) -> None:
    box = DiskOutbox.open(disk.folder, Machine())
    box.accept(*range(10))
    disk.fill()
    box.accept(*range(10, 300))
    box.crash()
    disk.make_room()
    again = DiskOutbox.open(disk.folder, Machine())
    delivered = again.deliver(999)
    assert delivered[:10] == list(range(10))
    assert delivered == list(range(len(delivered))), "as many as there was room for, and no gap"
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
    assert message.endswith(IN_MEMORY)
    state.close()
