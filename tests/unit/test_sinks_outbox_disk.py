"""Events on disk: what outlives whom, in which order, how long, and what stands in for a disk that does not do."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest
from support.events import an_event
from support.outbox import DiskOutbox, Machine, complaints, reopened

from ser_agent.ports import PluginContext
from ser_agent.sinks.mqtt_events import make_outbox, outbox_path
from ser_agent.sinks.mqtt_options import MqttOptions
from ser_agent.sinks.mqtt_topics import Topics
from ser_agent.sinks.outbox import OUTBOX_FULL, TOO_OLD
from ser_agent.sinks.outbox_clock import Clocks, boot_id, boot_s
from ser_agent.sinks.outbox_database import count_waiting
from ser_agent.state import StateFile

if TYPE_CHECKING:
    from pathlib import Path


DAY_S = 86_400.0
HOUR_S = 3600.0


def test_what_is_accepted_outlives_a_crash_and_what_has_arrived_does_not_come_again(tmp_path: Path) -> None:
    box = DiskOutbox.open(tmp_path, Machine())
    box.accept(*range(5))
    assert box.deliver(2) == [0, 1]
    assert box.outbox.take() is not None, "one is under way"
    box.crash()
    assert count_waiting(box.path) == 3
    with reopened(tmp_path, Machine()) as again:
        again.accept(5)
        assert again.deliver(9) == [2, 3, 4, 5]
        assert again.outbox.lost == 0


def test_at_the_end_nothing_is_lost_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    box = DiskOutbox.open(tmp_path / "deeper", Machine())
    box.accept(*range(3))
    assert box.close() == 0
    assert [file.name for file in box.path.parent.iterdir()] == [box.path.name], "no log is left"
    assert box.path.stat().st_mode & 0o077 == 0


def test_of_what_has_arrived_no_byte_stays_on_disk(tmp_path: Path) -> None:
    box = DiskOutbox.open(tmp_path, Machine())
    box.accept(*range(20))
    assert b"happy" in box.path.read_bytes() + box.path.with_name(f"{box.path.name}-wal").read_bytes()
    assert box.deliver(20) == list(range(20))
    box.close()
    assert b"happy" not in box.path.read_bytes()


def test_events_of_satellites_are_kept_with_the_agent_s_own(tmp_path: Path) -> None:
    with reopened(tmp_path, Machine()) as box:
        for number, site in enumerate(("test", "kitchen", "test")):
            box.outbox.add(Topics("ser-agent", site).event(an_event(number, site=site)))
    with reopened(tmp_path, Machine()) as box:
        topics = [taken[1].topic for _ in range(3) if (taken := box.outbox.take()) is not None]
    assert topics == ["ser-agent/test/event", "ser-agent/kitchen/event", "ser-agent/test/event"]


def test_two_sinks_have_a_file_each(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "agent.json")
    contexts = [PluginContext("test", tmp_path, state, name=name) for name in ("mqtt", "mqtt-2")]
    assert [outbox_path(context) for context in contexts] == [
        tmp_path / "agent.mqtt.outbox.db",
        tmp_path / "agent.mqtt-2.outbox.db",
    ]
    state.close()


def test_a_thousand_events_take_little_room(tmp_path: Path) -> None:
    box = DiskOutbox.open(tmp_path, Machine())
    box.accept_together(*range(1000))
    assert box.close() == 0
    assert box.path.stat().st_size < 2**20


def test_only_the_latest_events_are_kept_also_where_there_is_room_for_fewer_than_before(tmp_path: Path) -> None:
    with reopened(tmp_path, Machine(), max_events=4) as box:
        box.accept(*range(6))
        assert box.outbox.losses == {OUTBOX_FULL: 2}
    with reopened(tmp_path, Machine(), max_events=3) as box:
        assert box.outbox.losses == {OUTBOX_FULL: 1}
        assert box.deliver(9) == [3, 4, 5]


def test_what_is_too_old_is_dropped_and_counted_whether_it_waited_in_one_life_or_several(tmp_path: Path) -> None:
    machine = Machine()
    with reopened(tmp_path, machine) as box:
        box.accept(0)
        machine.pass_by(DAY_S - 10)
        box.accept(1)
    machine.pass_by(20)
    with reopened(tmp_path, machine) as box:
        assert box.outbox.expire() == 1
        assert box.outbox.losses == {TOO_OLD: 1}
    machine.reboot(off_s=DAY_S)
    with reopened(tmp_path, machine) as box:
        assert box.deliver() == []
        assert box.outbox.losses == {TOO_OLD: 1}
    assert count_waiting(box.path) == 0


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S, 30 * DAY_S, -30 * DAY_S])
def test_no_step_of_the_clock_loses_an_event_or_has_it_outlive_its_time(tmp_path: Path, by_s: float) -> None:
    machine = Machine()
    with reopened(tmp_path, machine) as box:
        box.accept(0)
        machine.set_wall(by_s)
    with reopened(tmp_path, machine) as box:
        box.accept(1)
    machine.reboot()
    with reopened(tmp_path, machine) as box:
        machine.set_wall(-by_s)
        box.accept(2)
        machine.pass_by(DAY_S - HOUR_S / 2)
    machine.reboot()
    with reopened(tmp_path, machine) as box:
        assert box.outbox.expire() == 0
        machine.pass_by(HOUR_S)
        assert box.outbox.expire() == 3


def test_a_clock_that_was_never_set_makes_no_event_old(tmp_path: Path) -> None:
    machine = Machine(wall_s=3600.0)
    with reopened(tmp_path, machine) as box:
        box.accept(0)
    machine.reboot()
    machine.set_wall(1_795_000_000.0)
    with reopened(tmp_path, machine) as box:
        assert box.deliver() == [0]


def test_the_clocks_of_this_machine() -> None:
    clocks = Clocks(boot_id())
    assert clocks.boot_id == boot_id()
    before_s = boot_s()
    assert clocks.translate(before_s, clocks.reading()) == before_s
    assert clocks.translate(before_s + HOUR_S, clocks.reading()) < before_s + HOUR_S, "none comes from the future"
    assert clocks.translate(5.0, None) >= before_s


def test_a_wall_clock_that_went_back_over_a_reboot_makes_no_event_of_the_future() -> None:
    machine = Machine()
    then = machine.clocks.reading()
    accepted_s = machine.boot_s
    machine.reboot()
    machine.set_wall(-DAY_S)
    assert machine.clocks.translate(accepted_s, then) == machine.boot_s


FAILURES = {
    "full": ("PRAGMA max_page_count = 1", "PRAGMA max_page_count = 100000", "database or disk is full"),
    "read-only": ("PRAGMA query_only = ON", "PRAGMA query_only = OFF", "attempt to write a readonly database"),
}


@pytest.mark.parametrize(("begin", "end", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_disk_that_cannot_be_written_is_told_of_once_and_memory_stands_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, begin: str, end: str, reason: str
) -> None:
    box = DiskOutbox.open(tmp_path, Machine(), max_events=50)
    box.accept(0, 1)
    assert box.journal._database is not None
    box.journal._database._connection.execute(begin)
    box.accept(*range(2, 90))
    assert complaints(caplog) == [
        f"outbox {box.path}: {reason}: events are kept in memory alone, until the agent ends"
    ]
    assert box.deliver(2) == [40, 41]
    assert len(box.journal._to_do) <= 2 * 50, "memory is bounded"
    box.journal._database._connection.execute(end)
    box.accept(90)
    assert complaints(caplog)[1:] == [f"outbox {box.path}: events are kept on disk again"]
    box.crash()
    with reopened(tmp_path, Machine()) as box:
        assert box.deliver(99) == list(range(42, 91)), "all of them, in order"


def test_what_arrives_while_the_disk_fails_to_take_it_is_not_stored_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = DiskOutbox.open(tmp_path, Machine())
    database = box.journal._database
    assert database is not None

    def fail(_changes: object, *, durable: bool) -> None:
        assert durable
        box.deliver()
        raise sqlite3.OperationalError("the disk is slow and full")

    with monkeypatch.context() as patch:
        patch.setattr(database, "apply", fail)
        box.accept(0)
    assert not box.journal._to_do, "there is nothing to erase either"
    box.accept(1)
    box.crash()
    with reopened(tmp_path, Machine()) as box:
        assert box.deliver(9) == [1]


def test_what_no_disk_takes_until_the_end_is_lost_and_counted(tmp_path: Path) -> None:
    box = DiskOutbox.open(tmp_path, Machine())
    box.accept(0, 1)
    assert box.journal._database is not None
    box.journal._database._connection.execute("PRAGMA query_only = ON")
    box.accept(2, 3, 4)
    assert box.close() == 3
    with reopened(tmp_path, Machine()) as box:
        assert box.deliver(9) == [0, 1]


def test_without_a_place_for_state_events_are_kept_in_memory_with_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, journal = make_outbox(MqttOptions(outbox="disk"), PluginContext("test", tmp_path))
    assert journal is None
    assert complaints(caplog) == [
        "outbox: disk: there is no state to keep it with: events are kept in memory alone"
    ]


def test_a_folder_that_cannot_be_made_does_not_keep_events_from_being_delivered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("in the way")
    box = DiskOutbox.open(tmp_path / "state", Machine())
    box.accept(0, 1)
    assert box.deliver() == [0]
    assert box.close() == 1
    (message,) = complaints(caplog)
    assert "events are kept in memory alone" in message
