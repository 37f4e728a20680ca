"""Where the output goes: pipes that close, full disks, terminals, odd encodings and names; and interruptions."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import soundfile
from support.agent import ser_agent as ser_agent_process

from ser_agent.audio_files import read_utterance

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
CLIP = DATA / "1076_ITH_DIS_XX.opus"
PROGRAM = [sys.executable, "-m", "ser_agent"]

TALKATIVE = [["--help"], ["plugins"], ["config", "example"], ["segment", str(CLIP)]]


@pytest.mark.parametrize("arguments", TALKATIVE, ids=" ".join)
def test_a_reader_that_goes_away_ends_a_command_quietly(arguments: Sequence[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PROGRAM, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", TALKATIVE[1:], ids=" ".join)
def test_a_full_disk_is_told(arguments: Sequence[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 69
    assert done.stderr == "ser-agent: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("arguments", TALKATIVE, ids=" ".join)
def test_closed_outputs_do_no_harm(arguments: Sequence[str]) -> None:
    done = subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *PROGRAM, *arguments], check=False)
    assert done.returncode == 0


def on_a_terminal(arguments: Sequence[str | Path], output: Path | None = None) -> str:
    """Run a command on a terminal, its output led into a file if one is named; give what the terminal saw."""
    terminal, end = os.openpty()
    with contextlib.ExitStack() as closing:
        stdout = end if output is None else closing.enter_context(output.open("wb"))
        process = subprocess.Popen([*PROGRAM, *arguments], stdin=end, stdout=stdout, stderr=end)
    os.close(end)
    seen = b""
    with contextlib.suppress(OSError):  # how a terminal without programs reads
        while block := os.read(terminal, 65_536):
            seen += block
    os.close(terminal)
    assert process.wait() == 0
    return seen.decode()


def test_a_progress_bar_on_the_terminal_keeps_nothing_from_a_file(tmp_path: Path) -> None:
    output = tmp_path / "utterances.jsonl"
    seen = on_a_terminal(["segment", "--jsonl", DATA], output)
    assert "listening" in seen
    assert "6/6" in seen
    assert "start_s" not in seen
    found = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert {record["file"] for record in found} <= {str(path) for path in DATA.glob("*.opus")}
    assert ser_agent_process("segment", "--jsonl", str(DATA)).stdout == output.read_text(encoding="utf-8")


def test_a_progress_bar_and_the_output_share_a_terminal() -> None:
    seen = on_a_terminal(["segment", DATA])
    assert "listening" in seen
    assert seen.count(CLIP.name) == 1


def test_a_table_keeps_to_the_terminals_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    rows = on_a_terminal(["plugins"]).splitlines()
    assert {len(row) for row in rows if row.startswith("│")} == {60}


def test_a_single_file_needs_no_progress_bar(tmp_path: Path) -> None:
    assert on_a_terminal(["segment", CLIP], tmp_path / "output") == ""


def test_a_name_that_is_not_utf_8_is_heard_and_told(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.opus"
    Path(os.fsdecode(path)).symlink_to(CLIP)
    done = subprocess.run([*PROGRAM, "segment", "--jsonl", path], capture_output=True, check=True)
    assert os.fsencode(json.loads(done.stdout)["file"]) == path
    missing = subprocess.run([*PROGRAM, "segment", path + b"x"], capture_output=True, check=False)
    assert missing.returncode == 69
    assert missing.stderr.endswith(b"caf\\udce9.opusx: no such file or directory\n")


def test_an_output_without_unicode_gets_what_it_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    for arguments in (["segment", str(CLIP)], ["plugins"]):
        done = ser_agent_process(*arguments)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_interruption_ends_a_command_at_once_and_keeps_what_it_has_told(tmp_path: Path) -> None:
    night = tmp_path / "night.wav"
    soundfile.write(night, read_utterance(CLIP), 16_000)
    files = [CLIP, *(2_000 * [night])]
    # Whatever starts the tests in the background may have them ignore this signal, and so their children.
    command = ["env", "--default-signal=INT", *PROGRAM, "segment", *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate()
    assert first.startswith(str(CLIP))
    assert (process.returncode, complaint) == (130, "")
