"""Third parties' plugins on the command line: those that work, those that do not load, those that have bugs."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.agent import ser_agent as ser_agent_process

CLIP = Path(__file__).resolve().parents[1] / "data" / "1076_ITH_DIS_XX.opus"

pytestmark = pytest.mark.usefixtures("third_party")


def test_they_are_listed_and_one_that_does_not_load_says_why() -> None:
    done = ser_agent_process("plugins")
    assert done.returncode == 0
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in done.stdout.splitlines()]
    assert ["vads", "deaf", "Hears nothing [at all].", "third-party 7.0"] in rows
    fault = "broken: RuntimeError: pip install 'lamp[colours]'"
    assert ["sinks", "lamp", fault, "third-party 7.0"] in rows


def test_one_that_works_is_used_and_its_keys_are_checked_and_shown() -> None:
    done = ser_agent_process("segment", str(CLIP), "--set", "vad.type=deaf")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"{CLIP}: no speech in it" in done.stderr
    assert "\n  # ears: 0\n" in ser_agent_process("config", "example").stdout
    wrong = ser_agent_process("check", "--set", "vad={type: deaf, ears: 3}")
    assert wrong.returncode == 78
    assert "--set: vad.ears: input should be less than or equal to 2, not 3" in wrong.stderr


def test_one_that_is_broken_cannot_be_chosen() -> None:
    done = ser_agent_process("check", "--set", "sinks=[{type: lamp}]")
    assert done.returncode == 78
    assert "sinks.0: the plugin 'lamp' (third-party 7.0) cannot be loaded" in done.stderr


def test_a_bug_ends_with_70_and_all_that_its_author_needs() -> None:
    done = ser_agent_process("segment", str(CLIP), "--set", "vad.type=buggy")
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert done.stderr.endswith(
        "ser-agent: this is a bug, please report it: ZeroDivisionError: division by zero\n"
    )
