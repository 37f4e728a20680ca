"""A TCP proxy in front of a broker, for what networks and brokers do to connections."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 4096
LOOK_S = 0.05


class Proxy:
    """Forwards connections to a port, until told otherwise; each in two threads of its own.

    Attributes:
        port: where it listens.
        connections: how many were accepted.
    """

    def __init__(self, target_port: int) -> None:
        """Listen; ``target_port`` need not be open before somebody connects."""
        self.connections = 0
        self._target_port = target_port
        self._epoch = 0
        self._swallowing = False
        self._hanging_up = False
        self._deaf_to_broker = False
        self._pause_s = 0.0
        self._piece = PIECE
        self._may_pass = threading.Event()
        self._may_pass.set()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(LOOK_S)
        self.port: int = self._listener.getsockname()[1]
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def black_hole(self) -> None:
        """From now on nothing gets through, of connections old and new, and nobody is told."""
        self._swallowing = True
        self._epoch += 1

    def hang_up(self) -> None:
        """From now on every connection is closed at once, new ones too."""
        self._hanging_up = True
        self.cut()

    def swallow_answers(self) -> None:
        """From now on what the broker says gets lost, and what it is told arrives."""
        self._deaf_to_broker = True

    def slow_down(self, piece: int, pause_s: float) -> None:
        """Forward so many bytes at a time, with a pause in between."""
        self._piece, self._pause_s = piece, pause_s

    def hold(self) -> None:
        """Keep back whatever comes, until ``let_pass``; connections stay, and nothing is lost."""
        self._may_pass.clear()

    def let_pass(self) -> None:
        """End that."""
        self._may_pass.set()

    def heal(self) -> None:
        """New connections work; old ones stay as they were."""
        self._swallowing = self._hanging_up = self._deaf_to_broker = False

    def cut(self) -> None:
        """End all connections."""
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            self._open.append(client)
            if self._hanging_up:
                client.close()
                continue
            broker = socket.socket()
            self._open.append(broker)
            if not self._swallowing:
                try:
                    broker.connect(("127.0.0.1", self._target_port))
                except OSError:
                    client.close()
                    continue
            self._pump(client, broker, lambda: False)
            self._pump(broker, client, lambda: self._deaf_to_broker)

    def _pump(self, source: socket.socket, sink: socket.socket, loses: Callable[[], bool]) -> None:
        epoch = self._epoch

        def work() -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(self._piece):
                    self._may_pass.wait()
                    if self._pause_s:
                        time.sleep(self._pause_s)
                    if self._epoch == epoch and not self._swallowing and not loses():
                        sink.sendall(data)
            if self._epoch == epoch and not self._swallowing:
                with contextlib.suppress(OSError):
                    sink.shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._may_pass.set()
        self._threads[0].join()
        self.cut()
        for thread in self._threads:
            thread.join()
        for sock in (*self._open, self._listener):
            sock.close()
