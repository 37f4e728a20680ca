"""The Wyoming proxy: stands in front of a speech-to-text server, and tells with a transcript how it was said."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from typing import TYPE_CHECKING, Final

from ser_agent.assistants.announcement import announced
from ser_agent.assistants.relay import READ_BYTES, Relay, Streams, Tally
from ser_agent.backoff import Backoff
from ser_agent.errors import SourceError, UnavailableError
from ser_agent.wyoming_address import Address, explain
from ser_agent.wyoming_wire import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ser_agent.assistants.conversation import Conversation
    from ser_agent.assistants.relay import Manner
    from ser_agent.systemd import Notifier

log = logging.getLogger(__name__)

CONNECT_S = 5.0
TICK_S = 0.5
MOST_CLIENTS = 32
"""Connections at a time: a household's satellites. More are refused, as each may hold some megabytes."""
PROBE_MOST_S = 15.0
FAREWELL_S = 5.0
REFUSE_S = 1.0
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class WyomingProxy:
    """Serves clients until it is told to stop. The only place where asyncio is at work."""

    def __init__(
        self, conversation: Conversation, listen: Address, upstream: Address, manner: Manner, name: str | None
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            conversation: hears the commands; started.
            listen: where clients connect; port 0 for any.
            upstream: the speech-to-text server.
            manner: how transcripts are treated.
            name: under which to announce itself on the local network; None for not at all.
        """
        self._conversation = conversation
        self._listen = listen
        self._upstream = upstream
        self._manner = manner
        self._name = name
        self.tally = Tally()
        self.port = listen.port
        self._clients: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._lost = asyncio.Event()

    async def serve(self, notifier: Notifier) -> None:
        """Serve until SIGTERM or SIGINT, or ``stop``.

        Args:
            notifier: tells the supervisor.

        Raises:
            UnavailableError: nobody can connect here.
            SerAgentError: a stage died.
        """
        loop = asyncio.get_running_loop()
        try:
            server = await asyncio.start_server(self._accept, self._listen.host, self._listen.port)
        except OSError as error:
            raise UnavailableError(f"nobody can connect to {self._listen}: {explain(error)}") from error
        self.port = server.sockets[0].getsockname()[1]
        log.info("listening at %s for %s", Address(self._listen.host, self.port), self._upstream)
        with _signals(loop, self.stop):
            async with server, announced(self._name, self._listen.host, self.port):
                watch = asyncio.create_task(self._watch_upstream())
                notifier.ready()
                notifier.status(f"in front of {self._upstream}")
                try:
                    await self._tick(notifier)
                finally:
                    notifier.stopping()
                    watch.cancel()
                    await self._dismiss()

    def stop(self) -> None:
        """Let the clients' answers under way go out, and end. In the loop's thread only."""
        self._stopping.set()

    async def _tick(self, notifier: Notifier) -> None:
        while not self._stopping.is_set():
            self._conversation.tick()
            if notifier.watchdog_s is not None and not self._conversation.stale():
                notifier.alive()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TICK_S)

    async def _dismiss(self) -> None:
        """Give the clients a moment, then hang up."""
        if self._clients:
            await asyncio.wait(self._clients, timeout=FAREWELL_S)
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - start_server calls this in a task of its own
        if self._stopping.is_set() or len(self._clients) >= MOST_CLIENTS:
            try:
                await _refuse(Streams(reader, writer), "too many clients", "busy")
            finally:
                await _hang_up(writer)
            return
        self._clients.add(task)
        try:
            await self._attend(Streams(reader, writer))
        except asyncio.CancelledError:
            pass  # by ``_dismiss``; asyncio would take a cancelled task of a connection for a fault
        finally:
            self._clients.discard(task)
            await _hang_up(writer)

    async def _attend(self, client: Streams) -> None:
        try:
            upstream = await self._connect()
        except SourceError as error:
            self._lose(error)
            await _refuse(client, str(error), "upstream-unavailable")
            return
        self._conversation.say_hearing(possible=True)
        try:
            await Relay(self._conversation, self._manner, self.tally).run(client, upstream)
        finally:
            await _hang_up(upstream.writer)

    async def _connect(self) -> Streams:
        try:
            connected = asyncio.open_connection(self._upstream.host, self._upstream.port)
            return Streams(*await asyncio.wait_for(connected, CONNECT_S))
        except TimeoutError:
            raise SourceError(f"{self._upstream} does not answer") from None
        except OSError as error:
            raise SourceError(f"{self._upstream} cannot be reached: {explain(error)}") from error

    def _lose(self, error: SourceError) -> None:
        if not self._lost.is_set():
            log.warning("%s: clients are refused until it is back", error)
            self._conversation.say_hearing(possible=False)
            self._lost.set()

    async def _watch_upstream(self) -> None:
        """See at the start whether it is there, and again and again once it was found not to be."""
        backoff = Backoff(PROBE_MOST_S)
        while True:
            try:
                found = await self._connect()
            except SourceError as error:
                self._lose(error)
                await asyncio.sleep(0.2 + backoff.next_s())
                continue
            try:
                log.info("%s is there: %s", self._upstream, await _introduce(found))
            finally:
                await _hang_up(found.writer)
            self._conversation.say_hearing(possible=True)
            self._lost.clear()
            backoff.reset()
            await self._lost.wait()


async def _introduce(server: Streams) -> str:
    """What a server says that it is, for the log."""
    from wyoming.event import async_read_event, async_write_event  # noqa: PLC0415 - an extra
    from wyoming.info import Describe, Info  # noqa: PLC0415 - an extra

    info: Info | None = None
    with contextlib.suppress(
        OSError, TimeoutError, asyncio.IncompleteReadError, KeyError, TypeError, AttributeError
    ):
        async with asyncio.timeout(CONNECT_S):
            await async_write_event(Describe().event(), server.writer)
            event = await async_read_event(server.reader)
            if event is not None and Info.is_type(event.type):
                info = Info.from_event(event)
    if info is None:
        return "it does not answer like a Wyoming server, and is relayed all the same"
    names = [program.name for program in info.asr if program.installed]
    return (
        f"speech to text by {', '.join(names)}" if names else "no speech to text, so there will be no transcripts"
    )


async def _refuse(client: Streams, text: str, code: str) -> None:
    """Tell a client why it is not served; whoever calls hangs up."""
    with contextlib.suppress(OSError, TimeoutError):
        client.writer.write(write({"type": "error"}, {"text": text, "code": code}))
        client.writer.write_eof()
        async with asyncio.timeout(REFUSE_S):
            while await client.reader.read(READ_BYTES):
                pass  # hanging up on what was not read would take the reason back


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> Iterator[None]:
    """Heed the signals that ask the process to end, where this is its main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    for signum in SIGNALS:
        loop.add_signal_handler(signum, stop)
    try:
        yield
    finally:
        for signum in SIGNALS:
            loop.remove_signal_handler(signum)
