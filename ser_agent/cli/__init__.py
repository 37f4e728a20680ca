"""The command ``ser-agent``. A command's module is imported only when it is called: ``--help`` answers at once."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from ser_agent.cli.parser import make_parser
from ser_agent.errors import EX_OK, SerAgentError

if TYPE_CHECKING:
    from collections.abc import Sequence

EX_SIGINT = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the command line without the program's name; by default the process's own.

    Returns:
        The exit code: 0, or that of the error (``ser_agent.errors``); 2 for a wrong command line.
    """
    parser = make_parser()
    args = parser.parse_args(arguments)
    command = importlib.import_module(f"ser_agent.cli.{args.command}_command")
    try:
        code: int = command.execute(args)
        sys.stdout.flush()
    except SerAgentError as error:
        print(f"ser-agent: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read the output has gone: end quietly, also in the interpreter's own flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_OK
    except KeyboardInterrupt:
        return EX_SIGINT
    return code
