from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.events import an_event, some_stats

from ser_agent.errors import SinkError
from ser_agent.ports import PluginContext
from ser_agent.sinks.jsonlines import JsonLinesSink, RotatingFile
from ser_agent.testing import check_sink

LINE_BYTES = len(json.dumps(an_event().model_dump(mode="json", by_alias=True), separators=(",", ":"))) + 1


def sink(folder: Path, **keys: Any) -> JsonLinesSink:  # noqa: ANN401 - of many kinds
    options = JsonLinesSink.Options.model_validate_json(json.dumps(keys))
    return JsonLinesSink(options, PluginContext("test", folder))


def write(folder: Path, count: int, **keys: Any) -> None:  # noqa: ANN401 - of many kinds
    writer = sink(folder, path="events.jsonl", **keys)
    writer.open()
    for number in range(count):
        writer.publish(an_event(number))
    writer.close()


def numbers(path: Path) -> list[int]:
    return [int(json.loads(line)["id"]) for line in path.read_text().splitlines()]


def test_it_keeps_the_promises_of_a_sink(tmp_path: Path) -> None:
    check_sink(sink(tmp_path, path="events.jsonl"), an_event())


def test_an_event_is_one_compact_line_of_schema_1(tmp_path: Path) -> None:
    writer = sink(tmp_path, path="events.jsonl")
    writer.open()
    writer.publish(an_event(3))
    writer.publish(some_stats())
    line = (tmp_path / "events.jsonl").read_text()  # before closing: every line is written at once
    assert line.startswith('{"schema":1,"id":"00000000000000000000000003","agent":"test",')
    assert line.endswith('"latency_ms":141,"session_id":null}\n')
    assert line.count("\n") == 1
    writer.close()


def test_standard_output_gets_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = sink(tmp_path)
    writer.open()
    writer.publish(an_event(1))
    writer.close()
    assert json.loads(capsys.readouterr().out)["id"] == an_event(1).id


def test_a_file_is_appended_to_and_for_its_owner_only(tmp_path: Path) -> None:
    write(tmp_path, 2)
    write(tmp_path, 1)
    assert numbers(tmp_path / "events.jsonl") == [0, 1, 0]
    assert stat.S_IMODE((tmp_path / "events.jsonl").stat().st_mode) == 0o600


def test_files_rotate_before_they_grow_too_large(tmp_path: Path) -> None:
    write(tmp_path, 10, max_bytes=2 * LINE_BYTES, backups=3)
    found = {path.name: numbers(path) for path in tmp_path.iterdir()}
    assert found == {
        "events.jsonl": [8, 9],
        "events.jsonl.1": [6, 7],
        "events.jsonl.2": [4, 5],
        "events.jsonl.3": [2, 3],
    }


def test_without_backups_only_the_newest_stay(tmp_path: Path) -> None:
    write(tmp_path, 5, max_bytes=2 * LINE_BYTES, backups=0)
    assert {path.name: numbers(path) for path in tmp_path.iterdir()} == {"events.jsonl": [4]}


def test_a_bound_of_zero_never_rotates_and_one_that_is_too_small_gives_each_line_a_file(tmp_path: Path) -> None:
    write(tmp_path, 5, max_bytes=0)
    assert numbers(tmp_path / "events.jsonl") == [0, 1, 2, 3, 4]
    write(tmp_path, 2, max_bytes=1, backups=1)
    assert numbers(tmp_path / "events.jsonl") == [1]
    assert numbers(tmp_path / "events.jsonl.1") == [0]


@pytest.mark.parametrize("path", [".", "no/such/folder/events.jsonl"])
def test_a_path_that_cannot_be_written_is_named_at_once(tmp_path: Path, path: str) -> None:
    with pytest.raises(SinkError, match=str(tmp_path)):
        sink(tmp_path, path=path).open()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_refuses_each_event_and_the_sink_lives_on(tmp_path: Path) -> None:
    writer = sink(tmp_path, path="/dev/full")
    writer.open()
    for number in range(2):
        with pytest.raises(SinkError, match="/dev/full cannot be written: No space left on device"):
            writer.publish(an_event(number))
    writer.close()


class DiskThatFillsUp:
    """Stands for ``os.write``: takes the beginning of one line, then nothing more."""

    def __init__(self) -> None:
        self._write = os.write
        self._is_full = False

    def write(self, file: int, data: bytes) -> int:
        if self._is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._is_full = True
        return self._write(file, data[:20])


def test_half_a_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = sink(tmp_path, path="events.jsonl")
    writer.open()
    writer.publish(an_event(0))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", DiskThatFillsUp().write)
        with pytest.raises(SinkError, match="No space left"):
            writer.publish(an_event(1))
    writer.publish(an_event(2))
    writer.close()
    assert numbers(tmp_path / "events.jsonl") == [0, 2]


def test_it_takes_nothing_unless_open(tmp_path: Path) -> None:
    writer = sink(tmp_path, path="events.jsonl")
    with pytest.raises(SinkError, match="not open"):
        writer.publish(an_event())


def test_a_reader_that_goes_away_is_an_error_of_the_sink_and_of_nothing_else(tmp_path: Path) -> None:
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from pathlib import Path
from support.events import an_event
from ser_agent.errors import SinkError
from ser_agent.ports import PluginContext
from ser_agent.sinks.{{sink}} import {{kind}} as Sink
sink = Sink(Sink.Options(), PluginContext("test", Path(".")))
sink.open()
sys.stdin.readline()
refused = 0
for number in range(3):
    try:
        sink.publish(an_event(number))
    except SinkError as error:
        refused += "its reader has gone" in str(error) or "Broken pipe" in str(error)
sink.close()
print(refused, file=sys.stderr)
"""
    for name, kind in (("jsonlines", "JsonLinesSink"), ("console", "ConsoleSink")):
        process = subprocess.Popen(
            [sys.executable, "-c", program.format(sink=name, kind=kind)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, complaints = process.communicate("go\n", timeout=60)
        assert (process.returncode, complaints) == (0, "3\n"), name


@pytest.mark.parametrize("tail", [b'{"id": "torn', b"\0" * 100], ids=["half a line", "zeros"])
def test_a_line_that_was_torn_is_ended_before_the_next_one(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"{}\n" + tail)
    file = RotatingFile(path, max_bytes=0, backups=0)
    assert path.read_bytes() == b"{}\n" + tail, "nothing is written before there is something to write"
    file.append(b"1\n")
    file.append(b"2\n")
    file.close()
    assert path.read_bytes() == b"{}\n" + tail + b"\n1\n2\n"


def test_the_file_after_the_one_with_a_torn_line_begins_with_a_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"half a line")
    file = RotatingFile(path, max_bytes=12, backups=1)
    file.append(b"another\n")
    file.append(b"one\n")
    file.close()
    assert path.read_bytes() == b"another\none\n"
