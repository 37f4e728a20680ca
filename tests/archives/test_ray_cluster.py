"""Archives on a real cluster: two nodes on this machine, one of which is killed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("ray")

from pyarrow import parquet
from support.ray_nodes import HANGS, RayNodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.command_line import Command

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray's: of the nodes' processes and log files
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the same, as pytest tells it
]

DATA = Path(__file__).resolve().parents[1] / "data"
CLIPS = sorted(DATA.glob("*.opus"))
COPIES = 4
PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    """A cluster, at first of one node."""
    with RayNodes(tmp_path_factory.mktemp("nodes") / "site") as running:
        yield running


def copy_clips(folder: Path, copies: int) -> None:
    """Fill a folder with recordings."""
    for clip in CLIPS:
        for number in range(copies):
            (folder / f"{number}-{clip.name}").symlink_to(clip)


def rows_in(answers: Path) -> list[dict[str, Any]]:
    """Every row that is kept."""
    return [json.loads(line) for part in answers.glob("part-*.jsonl") for line in part.read_text().splitlines()]


def wait_for(happened: Callable[[], bool]) -> bool:
    """Whether something comes to be, before patience ends."""
    end = time.monotonic() + PATIENCE_S
    while not happened() and time.monotonic() < end:
        time.sleep(0.05)
    return happened()


def test_what_a_killed_node_was_at_is_heard_elsewhere_and_each_file_is_answered_once(
    nodes: RayNodes, tmp_path: Path
) -> None:
    recordings, answers, witnesses = (tmp_path / name for name in ("geheim", "answers", "witnesses"))
    recordings.mkdir()
    witnesses.mkdir()
    copy_clips(recordings, COPIES)
    doomed = nodes.add(HANGS)
    chosen = ("--set", "classifier.type=witness", "--set", f"classifier.folder={witnesses}")
    run = nodes.classify([*chosen, "--out", answers, recordings])
    try:
        assert wait_for(lambda: any(witnesses.glob(f"{HANGS}-*")) and any(answers.glob("part-*.jsonl"))), (
            run.poll()
        )
        nodes.kill(doomed)
        out, err = run.communicate(timeout=PATIENCE_S)
    finally:
        run.kill()
    assert (run.returncode, out, err) == (0, "", "")
    rows = rows_in(answers)
    assert sorted(row["file"] for row in rows) == sorted(map(str, recordings.iterdir()))
    assert {(row["emotion"], row["error"]) for row in rows} == {("happy", None)}
    assert len(list(witnesses.glob("head-*"))) >= len(list(answers.glob("part-*.jsonl")))
    for log in nodes.logs:  # what Ray keeps on disk names no recording
        assert CLIPS[0].name not in log.read_text(encoding="utf-8", errors="replace"), log


def test_on_a_cluster_the_figures_are_those_of_one_machine(
    nodes: RayNodes, ser_agent: Command, tmp_path: Path
) -> None:
    here = ser_agent("classify", "--jsonl", "--segment", DATA).records
    run = nodes.classify(["--segment", "--out", tmp_path.as_uri(), "--format", "parquet", DATA.as_uri()])
    out, err = run.communicate(timeout=PATIENCE_S)
    assert (run.returncode, out, err) == (0, "", "")
    rows = parquet.read_table(tmp_path).to_pylist()
    expected = [{**record, "file": Path(record["file"]).as_uri(), "error": None} for record in here]
    assert sorted(rows, key=lambda row: str(row["file"])) == expected


@pytest.mark.long
def test_a_command_that_was_killed_goes_on_where_it_was(nodes: RayNodes, tmp_path: Path) -> None:
    recordings, answers = tmp_path / "recordings", tmp_path / "answers"
    recordings.mkdir()
    copy_clips(recordings, 40)
    first = nodes.classify(["--out", answers, recordings])
    assert wait_for(lambda: any(answers.glob("part-*.jsonl")) or first.poll() is not None)
    first.kill()
    first.communicate()
    done = len(rows_in(answers))
    assert 0 < done < 240
    second = nodes.classify(["--out", answers, recordings])
    _, err = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 0
    assert f"{done} of 240 files are answered already" in err
    assert sorted(row["file"] for row in rows_in(answers)) == sorted(map(str, recordings.iterdir()))
