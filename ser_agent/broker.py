"""An MQTT broker inside the process, for a first try on a machine that has none."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

from ser_agent.errors import MissingExtraError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
_LOGGERS = ("amqtt", "transitions")


class EmbeddedBroker:
    """amqtt on the loopback interface, in a thread of its own: MQTT 3.1.1, nothing kept beyond its end.

    Everybody on this machine may connect, nobody else can.
    """

    def __init__(self, port: int = 1883) -> None:
        """Prepare; see ``start``.

        Args:
            port: TCP port on 127.0.0.1.
        """
        self.port = port
        self._ready = threading.Event()
        self._faults: list[Exception] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_requested: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start, and return once clients can connect.

        Raises:
            MissingExtraError: amqtt is not installed.
            UnavailableError: the port is taken, or the broker does not start.
        """
        try:
            broker_class = _tidy_broker()
        except ModuleNotFoundError as error:
            raise MissingExtraError("the embedded broker", "broker", error.name or "amqtt") from error
        self._check_port()
        self._ready.clear()
        self._thread = threading.Thread(target=self._run, args=(broker_class,), name="mqtt-broker", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            raise UnavailableError(f"the embedded broker did not start within {START_TIMEOUT_S:.0f} s")
        if self._faults:
            fault = self._faults.pop()
            raise UnavailableError(f"the embedded broker does not start: {fault}") from fault

    def _check_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, self.port))
            except OSError as error:
                msg = f"no embedded broker on {LOOPBACK}:{self.port}: {error.strerror}"
                raise UnavailableError(msg) from error

    def stop(self) -> None:
        """Stop, and return once the port is free. May be called more than once."""
        if self._thread is None:
            return
        if self._loop is not None and self._stop_requested is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop_requested.set)
        self._thread.join(STOP_TIMEOUT_S)
        self._thread = None

    def _run(self, broker_class: Any) -> None:  # noqa: ANN401 - the class of an optional package
        with _quiet():
            try:
                asyncio.run(self._serve(broker_class))
            except Exception as error:  # noqa: BLE001 - told by start()
                self._faults.append(error)
            finally:
                self._ready.set()

    async def _serve(self, broker_class: Any) -> None:  # noqa: ANN401 - the class of an optional package
        self._loop = asyncio.get_running_loop()
        self._stop_requested = asyncio.Event()
        broker = broker_class(
            {
                "listeners": {"default": {"type": "tcp", "bind": f"{LOOPBACK}:{self.port}"}},
                "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
            }
        )
        await broker.start()
        self._ready.set()
        await self._stop_requested.wait()
        await broker.shutdown()


def _tidy_broker() -> Any:  # noqa: ANN401 - the class of an optional package
    """The broker's class, made to close every connection, also those that never said a word."""
    from amqtt.broker import Broker  # noqa: PLC0415 - an extra

    class TidyBroker(Broker):  # type: ignore[misc]  # untyped to mypy: an extra
        def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - the base's
            super().__init__(*arguments, **named)
            self._writers: set[asyncio.StreamWriter] = set()

        async def stream_connected(
            self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
        ) -> None:
            self._writers.add(writer)
            try:
                await super().stream_connected(reader, writer, listener_name)
            except OSError:
                pass  # a client that was refused has hung up before the broker could
            finally:
                self._writers.discard(writer)
                writer.close()

        async def shutdown(self) -> None:
            for writer in self._writers:  # else it would wait for clients that are still connected
                writer.close()
            await super().shutdown()

    return TidyBroker


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the broker's log to itself: it tells of every client, and of faults that are ours to tell."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
