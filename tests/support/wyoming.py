"""A small Wyoming server made with the real library, the proxy in a thread, a client as Home Assistant has it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from support.mqtt import PATIENCE_S, wait_until
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.server import AsyncEventHandler

from ser_agent.assistants.relay import Manner
from ser_agent.assistants.wyoming_proxy import WyomingProxy
from ser_agent.systemd import Notifier
from ser_agent.wyoming_address import Address

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from wyoming.event import Event

    from ser_agent.assistants.conversation import Conversation
    from ser_agent.audio import Samples

LOOPBACK = "127.0.0.1"
CHUNK = 1024
"""Samples in a chunk, as Home Assistant and the satellites send them."""
US = Attribution(name="tests", url="http://localhost")
INFO = Info(
    asr=[
        AsrProgram(
            name="parrot",
            description="Says what it was told to say",
            attribution=US,
            installed=True,
            version="1.0",
            models=[
                AsrModel(
                    name="any", description=None, attribution=US, installed=True, version=None, languages=["en"]
                )
            ],
        )
    ]
)


async def settle() -> None:
    """Let connections that were made or closed be told so, which happens in one of the loop's next rounds."""
    for _ in range(10):
        await asyncio.sleep(0)


async def dismiss(server: asyncio.Server, tasks: set[asyncio.Task[None]]) -> None:
    """Close a server and end its clients' tasks."""
    await settle()
    server.close()
    await settle()
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending)
    await settle()


class InLoop:
    """An asyncio loop in a thread of its own, for servers that live beside a test."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any], patience_s: float = PATIENCE_S) -> Any:  # noqa: ANN401 - any
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(patience_s)

    def close(self) -> None:
        self.run(settle())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()


@dataclass
class Recogniser:
    """What the server answers.

    Attributes:
        text: of every transcript.
        context: of every transcript.
        delay_s: how long it takes for one.
        info: what it says that it is.
        heard: the events of all clients, in order.
        sound: the bytes of all audio chunks.
    """

    text: str = "turn on the light"
    context: dict[str, Any] | None = None
    delay_s: float = 0.0
    info: Info = field(default_factory=lambda: INFO)
    heard: list[Event] = field(default_factory=list)
    sound: bytearray = field(default_factory=bytearray)


class _Handler(AsyncEventHandler):
    def __init__(self, recogniser: Recogniser, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._recogniser = recogniser

    async def handle_event(self, event: Event) -> bool:
        asr = self._recogniser
        asr.heard.append(event)
        if Describe.is_type(event.type):
            await self.write_event(asr.info.event())
        elif AudioChunk.is_type(event.type):
            asr.sound += AudioChunk.from_event(event).audio
        elif AudioStop.is_type(event.type):
            await asyncio.sleep(asr.delay_s)
            await self.write_event(Transcript(asr.text, context=asr.context, language="en").event())
        return True


class SttServer:
    """The server: starts, stops and starts again on one port."""

    def __init__(self, loop: InLoop, recogniser: Recogniser | None = None, port: int = 0) -> None:
        self.recogniser = recogniser or Recogniser()
        self.port = port
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await _Handler(self.recogniser, reader, writer).run()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        await dismiss(self._server, self._tasks)

    def start(self) -> Self:
        self._loop.run(self._open())
        return self

    def stop(self) -> None:
        self._loop.run(self._close())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class RunningProxy:
    """The proxy, as its command runs it but for the signals."""

    def __init__(
        self,
        conversation: Conversation,
        upstream_port: int,
        *,
        max_delay_s: float = 3 * PATIENCE_S,
        in_text: bool = False,
        name: str | None = None,
    ) -> None:
        self.conversation = conversation
        manner = Manner(max_delay_s, in_text)
        self.proxy = WyomingProxy(
            conversation, Address(LOOPBACK, 0), Address(LOOPBACK, upstream_port), manner, name
        )
        self.fault: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def port(self) -> int:
        return self.proxy.port

    def _run(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            await self.proxy.serve(Notifier({}))

        try:
            asyncio.run(main())
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.fault = error

    def __enter__(self) -> Self:
        self.conversation.start()
        self._thread.start()
        wait_until(lambda: self.port or self.fault, "the proxy listens")
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.proxy.stop)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        self.conversation.stop()


def command(samples: Samples) -> Iterable[Event]:
    """The events with which Home Assistant has a command recognised."""
    yield Transcribe(language="en").event()
    yield AudioStart(16_000, 2, 1).event()
    for start in range(0, len(samples), CHUNK):
        yield AudioChunk(16_000, 2, 1, samples[start : start + CHUNK].tobytes()).event()
    yield AudioStop().event()


async def recognise(port: int, samples: Samples) -> Transcript | None:
    """Have a command recognised as Home Assistant's integration does; None where the connection is lost."""
    async with AsyncTcpClient(LOOPBACK, port) as client:
        for event in command(samples):
            await client.write_event(event)
        while True:
            event_or_end = await client.read_event()
            if event_or_end is None:
                return None
            if Transcript.is_type(event_or_end.type):
                return Transcript.from_event(event_or_end)


async def load_info(port: int, timeout_s: float = PATIENCE_S) -> Info:
    """The handshake with which Home Assistant's integration is set up."""
    async with AsyncTcpClient(LOOPBACK, port) as client, asyncio.timeout(timeout_s):
        await client.write_event(Describe().event())
        while True:
            event = await client.read_event()
            assert event is not None, "the connection was closed"
            if Info.is_type(event.type):
                return Info.from_event(event)
