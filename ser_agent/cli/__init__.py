"""The command ``ser-agent``. A command's module is imported only when it is called: ``--help`` answers at once."""

from __future__ import annotations

import errno
import importlib
import io
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from ser_agent import process, signals
from ser_agent.errors import EX_OK, EX_SOFTWARE, EX_UNAVAILABLE, SerAgentError
from ser_agent.sinks.stdout import discard_stdout

if TYPE_CHECKING:
    from collections.abc import Sequence

EX_SIGINT = 130
AGENTS = (["run"], ["worker"])
"""Commands that end as they please when a signal comes, not as Python does."""
UNWRITABLE = {errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC}
"""What printing fails with when the disk is full or the terminal has gone."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the command line without the program's name; by default the process's own.

    Returns:
        The exit code: 0, or that of the error (``ser_agent.errors``); 2 for a wrong command line.
    """
    runs_an_agent = arguments is None and sys.argv[1:2] in AGENTS
    if runs_an_agent:
        signals.hold()
    try:
        return _main(arguments)
    finally:
        if runs_an_agent:
            signals.ignore()


def _main(arguments: Sequence[str] | None) -> int:
    _make_output_safe()
    try:
        try:
            return _execute(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has gone: end quietly, also in the interpreter's own flush at exit.
        discard_stdout()
        return EX_OK
    except KeyboardInterrupt:
        return EX_SIGINT
    except Exception as error:  # noqa: BLE001 - whatever it is, it has an exit code of its own
        return _tell(error)


def _execute(arguments: Sequence[str] | None) -> int:
    from ser_agent.cli.parser import make_parser  # takes a tenth of a second: signals must be held before

    args = make_parser().parse_args(arguments)
    process.confine()
    command = importlib.import_module(f"ser_agent.cli.{args.command.replace('-', '_')}_command")
    try:
        code: int = command.execute(args)
    except SerAgentError as error:
        print(f"ser-agent: {error}", file=sys.stderr)
        return error.exit_code
    return code


def _tell(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        discard_stdout()
        print(f"ser-agent: the output cannot be written: {error.strerror}", file=sys.stderr)
        return EX_UNAVAILABLE
    traceback.print_exception(error)
    print(f"ser-agent: this is a bug, please report it: {type(error).__name__}: {error}", file=sys.stderr)
    return EX_SOFTWARE


def _make_output_safe() -> None:
    """Let nothing that is printed fail: into a closed stream, or a name that the encoding does not have."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for the rest of the process
            setattr(sys, name, nowhere)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
