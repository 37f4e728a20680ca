"""Keeping what Ray says to itself off the terminal: standard output is for records."""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)


class Aside(io.TextIOBase):
    """Stands for standard output where Ray prints, of a node that went away for example: logged, to debug."""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: str) -> int:
        """Log each line."""
        for line in text.splitlines():
            if line.strip():
                log.debug("Ray: %s", line)
        return len(text)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Silence the process's standard error: Ray's part in C++ greets there, whatever its log level."""
    try:
        kept = os.dup(2)
    except OSError:  # a process may be without: nothing to silence
        yield
        return
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
