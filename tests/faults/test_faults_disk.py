"""A disk that is full or read-only, under the events and under the state file."""

from __future__ import annotations

import contextlib
import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.agent import AgentProcess, ser_agent
from support.faults import Spoken, balanced, install_plugins, loud_file
from support.mqtt import wait_until
from support.rig import Rig

from ser_agent.agent import Outcome
from ser_agent.errors import EX_UNAVAILABLE
from ser_agent.sinks.jsonlines import JsonLinesSink
from ser_agent.state import StateFile
from ser_agent.testing import ScriptedSource, context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

PATIENCE_S = 60.0
PAGE = 4096
MOST_FILES = 4
"""The folder itself counts."""
PADDING = json.dumps({"id": "padding", "x": "x" * (PAGE - 29)}) + "\n"
"""A line that fills a page of the disk: the next one needs another."""


class Disk:
    """A small disk of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Take all of its room, and those few more files that it may hold."""
        with pytest.raises(OSError, match="No space left"):
            (self.folder / "filler").write_bytes(bytes(1 << 20))
        with contextlib.suppress(OSError):
            for number in range(MOST_FILES):
                (self.folder / f"filler-{number}").touch()

    def give_room(self) -> None:
        for file in self.folder.glob("filler*"):
            file.unlink()

    def make_read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)


@pytest.fixture(params=["size=64k", f"size=64k,nr_inodes={MOST_FILES}"], ids=["no room", "no files"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Disk]:
    """A disk for 64 KiB, or else for three files; the test skips where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a disk")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def lines_of(folder: Path) -> list[str]:
    """The identifiers in all files of events."""
    lines: list[str] = []
    for file in folder.glob("events*"):
        with contextlib.suppress(FileNotFoundError):  # renamed just now: who waits for something looks again
            lines += file.read_text().splitlines()
    return [json.loads(line)["id"] for line in lines]


@pytest.mark.parametrize("max_bytes", [0, PAGE + 100], ids=["one file", "rotated"])
def test_on_a_full_disk_events_are_refused_and_counted_and_written_again_once_there_is_room(
    disk: Disk, caplog: pytest.LogCaptureFixture, max_bytes: int
) -> None:
    path = disk.folder / "events.jsonl"
    path.write_text(PADDING)
    disk.fill()
    options = JsonLinesSink.Options(path=str(path), max_bytes=max_bytes)
    source = Spoken(4)
    agent = Rig(source, sinks={"lines": JsonLinesSink(options, context())}).agent()

    def between(played: int) -> None:
        refused = min(played, 2)
        wait_until(lambda: agent.stats().lost_by_sink["lines"] == refused, "two are refused", PATIENCE_S)
        wait_until(lambda: len(lines_of(disk.folder)) == 1 + played - refused, "the others not", PATIENCE_S)
        if played == 2:
            disk.give_room()

    source.between = between
    assert agent.run() is Outcome.ENDED
    assert agent.books.published == 4
    assert balanced(agent.books)
    assert f"{path} cannot be written: No space left on device" in caplog.text
    assert lines_of(disk.folder).count("padding") == 1, "nothing that was there has gone"


def test_what_cannot_be_remembered_for_want_of_room_holds_until_the_end_and_is_tried_again(
    disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    file = disk.folder / "state.json"
    state = StateFile(file)
    state.write("controls", {"listening": True})
    disk.fill()
    state.write("controls", {"listening": False})
    assert state.read("controls") == {"listening": False}
    assert "no space left on device" in caplog.text
    assert json.loads(file.read_text()) == {"controls": {"listening": True}}
    disk.give_room()
    state.write("controls", {"listening": False})
    assert json.loads(file.read_text()) == {"controls": {"listening": False}}
    state.close()


def test_a_disk_that_is_read_only_cannot_take_events_and_that_is_told_at_the_start(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugins(tmp_path / "site", monkeypatch)
    path = disk.folder / "events.jsonl"
    disk.make_read_only()
    file = tmp_path / "agent.yaml"
    file.write_text(json.dumps(config(tmp_path, {"type": "jsonlines", "path": str(path)})))
    done = ser_agent("run", "--config", str(file), timeout_s=240)
    assert done.returncode == EX_UNAVAILABLE
    assert f"ser-agent: {path} cannot be written: Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mute_that_was_remembered_holds_where_the_disk_has_become_read_only(disk: Disk) -> None:
    file = disk.folder / "state.json"
    state = StateFile(file)
    state.write("controls", {"listening": False})
    state.close()
    disk.make_read_only()
    agent = Rig(ScriptedSource([], live=True, when_dry=lambda: None), state=StateFile(file)).agent()
    assert agent.health()["listening"] is False


def test_with_a_state_folder_that_is_read_only_the_agent_runs_and_says_that_it_remembers_nothing(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugins(tmp_path / "site", monkeypatch)
    (tmp_path / "state").symlink_to(disk.folder)
    disk.make_read_only()
    with AgentProcess(tmp_path, config(tmp_path)) as agent:
        assert agent.wait(patience_s=240) == 0, agent.log
        assert "so nothing outlives this process: read-only file system" in agent.log
        assert "1 utterances: 1 published, 0 failed, 0 dropped" in agent.log


def config(folder: Path, *sinks: dict[str, str]) -> dict[str, object]:
    return {
        "source": {"type": "files", "paths": [str(loud_file(folder))]},
        "vad": {"type": "energy"},
        "classifier": {"type": "odd"},
        "sinks": list(sinks),
    }
