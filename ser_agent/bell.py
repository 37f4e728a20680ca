"""Waking a thread that waits for the network."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Bell:
    """A thread that polls sockets polls ``out`` as well; whoever has something for it rings."""

    def __init__(self) -> None:
        """Make it."""
        self.out, self._in = socket.socketpair()
        self.out.setblocking(False)
        self._in.setblocking(False)

    def __enter__(self) -> Self:
        """Release it at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it."""
        self.close()

    def ring(self) -> None:
        """Wake the thread. Never waits; once released, nothing happens."""
        with contextlib.suppress(OSError):  # full: it is awake; closed: it is gone
            self._in.send(b"\0")

    def hush(self) -> None:
        """Let the next wait be one."""
        with contextlib.suppress(BlockingIOError):
            self.out.recv(4096)

    def close(self) -> None:
        """Release it. May be called more than once."""
        self.out.close()
        self._in.close()
