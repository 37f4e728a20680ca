"""An outbox's file that is damaged: what can be used of it is, and nothing is held up."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.outbox import DiskOutbox, Machine, complaints, folder_in_memory, reopened, tamper

from ser_agent.sinks.mqtt_events import FOREIGN
from ser_agent.sinks.outbox_database import CORRUPT, MOST_SET_ASIDE, count_waiting

if TYPE_CHECKING:
    from collections.abc import Callable


DAMAGE = {
    "another payload": ("UPDATE waiting SET payload = CAST('{}' AS BLOB) WHERE number = 1", CORRUPT),
    "no payload": ("UPDATE waiting SET payload = NULL WHERE number = 1", CORRUPT),
    "a long payload": ("UPDATE waiting SET payload = zeroblob(65537) WHERE number = 1", CORRUPT),
    "no text": ("UPDATE waiting SET topic = CAST(x'fffe' AS TEXT) WHERE number = 1", CORRUPT),
    "no time": ("UPDATE waiting SET accepted_s = 'noon' WHERE number = 1", CORRUPT),
    "an endless time": ("UPDATE waiting SET accepted_s = 9e999 WHERE number = 1", CORRUPT),
    "a negative number": ("UPDATE waiting SET number = -1 WHERE number = 1", CORRUPT),
    "the last number": ("UPDATE waiting SET number = 9223372036854775807 WHERE number = 1", CORRUPT),
    "another checksum": ("UPDATE waiting SET checksum = 'x' WHERE number = 1", CORRUPT),
}


@pytest.mark.parametrize(("statement", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_row_is_set_aside_and_counted_and_holds_up_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, statement: str, reason: str
) -> None:
    with reopened(tmp_path, Machine()) as box:
        box.accept(0, 1, 2)
    tamper(box.path, statement)
    with reopened(tmp_path, Machine()) as box:
        assert box.outbox.losses == {reason: 1}
        box.accept(3)
        assert box.deliver(9) == [0, 2, 3]
    assert f"outbox {box.path}: events set aside: 1 {reason}" in complaints(caplog)
    with closing(sqlite3.connect(box.path)) as connection:
        assert connection.execute("SELECT reason FROM set_aside").fetchall() == [(reason,)]
    with reopened(tmp_path, Machine()) as box:
        assert box.outbox.lost == 0, "it is counted once"


@pytest.mark.parametrize("now", [{"site": "attic"}, {"base_topic": "other"}], ids=["site", "base topic"])
def test_events_of_a_site_that_was_renamed_are_set_aside(tmp_path: Path, now: dict[str, str]) -> None:
    with reopened(tmp_path, Machine()) as box:
        box.accept(0, 1)
    with reopened(tmp_path, Machine(), **now) as box:
        assert box.outbox.losses == {FOREIGN: 2}
        assert box.deliver() == []


def test_what_is_set_aside_is_bounded(tmp_path: Path) -> None:
    for _ in range(3):
        with reopened(tmp_path, Machine()) as box:
            box.accept_together(*range(50))
        with reopened(tmp_path, Machine(), site="attic") as box:
            assert box.outbox.lost == 50
    with closing(sqlite3.connect(box.path)) as connection:
        assert connection.execute("SELECT count(*) FROM set_aside").fetchone() == (MOST_SET_ASIDE,)


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all " * 500)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def of_another_format(path: Path) -> None:
    tamper(path, "PRAGMA user_version = 7")


def without_its_table(path: Path) -> None:
    tamper(path, "DROP TABLE waiting")


def with_tables_that_are_no_text(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE", b"CREATE \x80ABLE"))


@pytest.mark.parametrize(
    "spoil",
    [
        garbage,
        cut_off,
        folder_in_its_place,
        of_another_format,
        without_its_table,
        with_tables_that_are_no_text,
    ],
)
def test_a_file_that_cannot_be_used_is_put_aside_with_a_message_and_another_one_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    with reopened(tmp_path, Machine()) as box:
        box.accept(*range(3))
    spoil(box.path)
    for expected in ([3], [4]):
        with reopened(tmp_path, Machine()) as box:
            box.accept(*expected)
            assert box.close() == 0
            assert count_waiting(box.path) >= 1
        with reopened(tmp_path, Machine()) as box:
            assert box.deliver(9)[-1:] == expected
    (message,) = complaints(caplog)
    assert message.startswith(f"outbox {box.path} cannot be used (")
    assert f"kept as {box.path.name}.broken" in message
    assert (tmp_path / f"{box.path.name}.broken").exists()


@settings(max_examples=40, deadline=None)
@given(spots=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1)), min_size=1, max_size=3))
def test_whatever_bytes_change_nothing_false_is_delivered_and_new_events_are_kept(
    spots: list[tuple[float, bytes]],
) -> None:
    with folder_in_memory() as name:
        folder = Path(name)
        with reopened(folder, Machine()) as box:
            box.accept_together(*range(20))
        stored = bytearray(box.path.read_bytes())
        for where, content in spots:
            start = int(where * (len(stored) - 1))
            stored[start : start + len(content)] = content
        box.path.write_bytes(stored)
        with reopened(folder, Machine()) as box:
            box.accept(20)
        with reopened(folder, Machine()) as box:
            delivered = box.deliver(99)
    assert delivered == sorted(set(delivered) & set(range(21)))
    assert delivered[-1] == 20


def test_a_log_whose_tail_is_torn_loses_only_what_was_in_the_tail(tmp_path: Path) -> None:
    """What a power cut does: of the log, all is there that was synced, and anything may be behind it."""
    box = DiskOutbox.open(tmp_path, Machine())
    box.accept(0)
    files = [box.path, box.path.with_name(f"{box.path.name}-wal")]
    sizes = []
    for number in range(1, 12):
        box.accept(number)
        sizes.append(files[1].stat().st_size)
    database, log = (file.read_bytes() for file in files)
    box.crash()
    for known, size in enumerate(sizes, start=1):
        for number, tail in enumerate((b"", b"\0" * 5000, log[size : size + 700], b"\xa5" * 9000)):
            folder = tmp_path / f"cut-{known}-{number}"
            folder.mkdir()
            (folder / box.path.name).write_bytes(database)
            (folder / files[1].name).write_bytes(log[:size] + tail)
            with reopened(folder, Machine()) as cut:
                assert cut.deliver(99) == list(range(known + 1))


def test_a_file_that_somebody_deletes_while_it_is_used_is_made_anew(tmp_path: Path) -> None:
    box = DiskOutbox.open(tmp_path, Machine())
    box.accept(0, 1)
    for file in tmp_path.glob(f"{box.path.name}*"):
        file.unlink()
    box.accept(2)
    assert box.close() == 0
    with reopened(tmp_path, Machine()) as box:
        assert box.deliver(9) == [0, 1, 2]
