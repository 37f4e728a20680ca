"""``ser-agent classify --ray`` with a cluster that is played: what is printed, kept, and taken up again."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.command_line import python

pytest.importorskip("ray")

from ser_agent.archives import cluster
from ser_agent.archives.hearing import Hearer
from ser_agent.archives.hush import Aside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from support.command_line import Command

    from ser_agent.archives.job import Job
    from ser_agent.archives.records import Row

DATA = Path(__file__).resolve().parents[1] / "data"
CLIPS = sorted(DATA.glob("*.opus"))


class Played:
    """A cluster within this process: parts of two recordings, answered last first."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, Sequence[str]]] = []
        self.dies_after: int | None = None
        self.failure: tuple[str, int] | None = None
        self.connected_to: list[str] = []

    @contextmanager
    def connected(self, address: str) -> Iterator[None]:
        self.connected_to.append(address)
        with redirect_stdout(Aside()):
            print("(raylet) a node went away")
            yield

    def share_out(self, job: Job, files: Sequence[str], first_number: int) -> dict[int, list[str]]:
        starts = range(0, len(files), 2)
        return {first_number + index: list(files[start : start + 2]) for index, start in enumerate(starts)}

    def answers(self, job: Job, parts: Mapping[int, Sequence[str]]) -> Iterator[tuple[int, cluster.Answer]]:
        hearer = Hearer(job)
        for count, (number, files) in enumerate(reversed(list(parts.items()))):
            if count == self.dies_after:
                raise KeyboardInterrupt
            self.parts.append((number, files))
            log = [("ser_agent.audio_files", logging.WARNING, f"{files[0]}: cut off?")]
            rows: list[Row] = hearer.rows(files)
            answer: cluster.Answer = {"rows": rows, "log": log, "failure": self.failure}
            yield number, answer
            yield number, answer  # as if a node had answered that was taken for dead


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    """The command's cluster is a played one."""
    one = Played()
    for name in ("connected", "share_out", "answers"):
        monkeypatch.setattr(cluster, name, getattr(one, name))
    return one


def rows(folder: Path) -> list[dict[str, Any]]:
    """Every row that is kept, in the order of the parts."""
    return [
        json.loads(line) for part in sorted(folder.glob("part-*.jsonl")) for line in part.read_text().splitlines()
    ]


@pytest.mark.parametrize("options", [("--jsonl",), ("--segment",)])
def test_without_a_folder_the_same_is_printed_in_the_same_order(
    ser_agent: Command, played: Played, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "void.wav").touch()
    what = (CLIPS[0], tmp_path / "void.wav", *CLIPS[1:])
    here, there = ser_agent("classify", *options, *what), ser_agent("classify", "--ray", *options, *what)
    assert there.out == here.out
    assert (there.code, here.code) == (69, 69)
    assert f"ser-agent: {tmp_path}/void.wav: is empty" in there.err.splitlines()
    assert played.connected_to == ["any"]
    assert there.err.count("cut off?") == 2 * len(played.parts)  # each answer's log, and each came twice


def test_a_run_that_was_killed_goes_on_where_it_was(ser_agent: Command, played: Played, tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    command = ("classify", "--ray", "head:6379", "--out", folder, DATA)
    played.dies_after = 1
    assert ser_agent(*command).code == 130
    ((number, first),) = played.parts
    assert (number, {row["file"] for row in rows(folder)}) == (2, set(first))
    played.dies_after = None
    outcome = ser_agent(*command)
    assert (outcome.code, outcome.out) == (0, "")
    assert f"{len(first)} of {len(CLIPS)} files are answered already" in outcome.err
    assert sorted(file for _, files in played.parts for file in files) == [str(clip) for clip in CLIPS]
    here = ser_agent("classify", "--jsonl", DATA).records
    kept = sorted(rows(folder), key=lambda row: str(row["file"]))
    assert kept == [{**record, "error": None} for record in here]
    played.parts.clear()
    assert ser_agent(*command).code == 0
    assert (played.parts, played.connected_to) == ([], ["head:6379"] * 2)


def test_a_bad_file_is_a_row_and_the_exit_code_stays_the_same_when_nothing_is_left(
    ser_agent: Command, played: Played, tmp_path: Path
) -> None:
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    shutil.copy(CLIPS[0], recordings)
    (recordings / "void.wav").touch()
    command = ("classify", "--ray", "--out", tmp_path / "answers", recordings, recordings / "void.wav")
    for _ in range(2):
        assert ser_agent(*command).code == 69
    good, bad = rows(tmp_path / "answers")
    assert (good["error"], bad["error"]) == (None, f"{recordings}/void.wav: is empty")
    assert bad["emotion"] is None
    assert len(played.parts) == 1


def test_other_settings_take_another_folder(ser_agent: Command, played: Played, tmp_path: Path) -> None:
    command = ("classify", "--ray", "--out", tmp_path / "answers", CLIPS[0])
    assert ser_agent(*command).code == 0
    outcome = ser_agent(*command, "--top", "1")
    assert outcome.code == 78
    assert "holds answers of other settings (top)" in outcome.err


@pytest.mark.parametrize("code", [69, 70, 78])
def test_what_a_node_cannot_do_ends_the_run_with_its_code(ser_agent: Command, played: Played, code: int) -> None:
    played.failure = ("model m: it cannot be loaded", code)
    outcome = ser_agent("classify", "--ray", CLIPS[0])
    assert (outcome.code, outcome.out) == (code, "")
    assert "ser-agent: model m: it cannot be loaded" in outcome.err


def test_parts_that_stay_unanswered_are_told(
    ser_agent: Command, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "answers", lambda *_: iter(()))
    outcome = ser_agent("classify", "--ray", DATA)
    assert outcome.code == 69
    assert "left 3 parts unanswered" in outcome.err


def test_a_cluster_that_is_not_there_is_told_at_once(ser_agent: Command) -> None:
    outcome = ser_agent("classify", "--ray", "127.0.0.1:9", CLIPS[0])
    assert outcome.code == 69
    assert outcome.err.splitlines()[-1] == "ser-agent: the Ray cluster 127.0.0.1:9: connection refused"


@pytest.mark.parametrize("absent", ["ray", "pyarrow"])
def test_without_the_extra_its_installation_is_told(absent: str) -> None:
    program = (
        f"import sys; sys.modules[{absent!r}] = None; from ser_agent.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    outcome = python(program, "classify", "--ray", CLIPS[0])
    assert (outcome.code, outcome.out) == (69, "")
    assert "an archive on Ray needs the package" in outcome.err
    assert "pip install 'ser-agent[ray]'" in outcome.err


def test_without_ray_none_of_it_is_imported() -> None:
    told = "print({'ray', 'pyarrow'} & {*sys.modules})"
    program = f"import sys; from ser_agent.cli import main; main(sys.argv[1:]); {told}"
    assert python(program, "classify", "nowhere.wav").out == "set()\n"


def test_on_a_terminal_a_bar_tells_how_many_files_are_done(
    ser_agent: Command, played: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    outcome = ser_agent("classify", "--ray", "--out", tmp_path / "answers", DATA)
    assert (outcome.code, outcome.out) == (0, "")
    assert "listening" in outcome.err
    assert f"/{len(CLIPS)}" in outcome.err
    assert len(rows(tmp_path / "answers")) == len(CLIPS)
