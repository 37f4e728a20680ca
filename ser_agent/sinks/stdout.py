"""What sinks that write to standard output share."""

from __future__ import annotations

import os
import sys


def discard_stdout() -> None:
    """Send what is still to be written to standard output nowhere, once its reader has gone.

    Else Python would complain at its end about what it could not write. See "Note on SIGPIPE" in the
    documentation of ``signal``.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)
