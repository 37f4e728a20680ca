"""The command line, called within the tests' process, which is quick, and what came of it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from ser_agent.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command left behind.

    Attributes:
        code: its exit code.
        out: standard output.
        err: standard error.
    """

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """Standard output as lines of JSON."""
        return [json.loads(line) for line in self.out.splitlines()]


_GROWTH = """
import contextlib, io, json, re, sys
from pathlib import Path
from ser_agent.cli import main

def peak_kb():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])

little, much = json.loads(sys.argv[1])
with contextlib.redirect_stdout(io.StringIO()):
    main(little)
before = peak_kb()
code = main(much)
print("grown by", peak_kb() - before, file=sys.stderr)
sys.exit(code)
"""

Command: TypeAlias = Callable[..., Outcome]
"""Runs ``ser-agent`` with the arguments given; paths need not be made strings."""


def python(code: str, *arguments: object) -> Outcome:
    """Run Python code, which may look at its own process, with arguments."""
    program = [sys.executable, "-c", code, *(str(argument) for argument in arguments)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


def growth_mb(little: Sequence[object], much: Sequence[object]) -> tuple[Outcome, float]:
    """Run two commands in one process of their own.

    Returns:
        What came of the second, and by how many MiB it raised the peak of the process's memory.
    """
    commands = [[str(argument) for argument in command] for command in (little, much)]
    outcome = python(_GROWTH, json.dumps(commands))
    complaints, _, grown_kb = outcome.err.rpartition("grown by ")
    return Outcome(outcome.code, outcome.out, complaints), int(grown_kb) / 1024


@pytest.fixture
def ser_agent(capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """The command, called within this process, whose logging is put back afterwards."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield command_within(capsys)
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.getLogger("ser_agent").setLevel(logging.NOTSET)


def command_within(capsys: pytest.CaptureFixture[str]) -> Command:
    """``ser-agent`` as a function."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # how argparse ends
            code = stop.code if isinstance(stop.code, int) else 1
        told = capsys.readouterr()
        return Outcome(code, told.out, told.err)

    return run
