from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
from support.mqtt import PATIENCE_S, free_port, wait_until
from support.wyoming import LOOPBACK, InLoop, dismiss
from wyoming.audio import AudioChunk, AudioStart
from wyoming.event import Event, async_write_event
from wyoming.ping import Ping

from ser_agent.audio_files import read_utterance
from ser_agent.config import load
from ser_agent.errors import ConfigError, SourceError, SourceLost
from ser_agent.sources.wyoming import WyomingSource
from ser_agent.testing import check_source, context, tone

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ser_agent.audio import AudioFrame, Samples

CLIP = Path(__file__).resolve().parents[1] / "data" / "1076_ITH_DIS_XX.opus"
CHUNK = 1024


class Microphone:
    """A Wyoming microphone: sends its sound to everybody who connects."""

    def __init__(
        self, loop: InLoop, script: Sequence[Event], *, again: bool = False, hangs_up: bool = False
    ) -> None:
        self.port = 0
        self.visitors = 0
        self._loop = loop
        self._script = script
        self._again = again
        self._hangs_up = hangs_up
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.visitors += 1
        try:
            await self._send(writer)
            if not self._hangs_up:
                await reader.read()
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while True:
            for event in self._script:
                await async_write_event(event, writer)
            if not self._again:
                return

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        await dismiss(self._server, self._tasks)

    def __enter__(self) -> Self:
        self._loop.run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._close())


@pytest.fixture
def loop() -> Iterator[InLoop]:
    made = InLoop()
    yield made
    made.close()


def chunks(samples: Samples, rate: int = 16_000) -> list[Event]:
    return [
        AudioChunk(rate, 2, 1, samples[start : start + CHUNK].tobytes()).event()
        for start in range(0, len(samples), CHUNK)
    ]


def source(port: int, **keys: Any) -> WyomingSource:  # noqa: ANN401 - of many kinds
    """Unless the keys say otherwise, no pause of a busy machine is a loss."""
    merged: dict[str, Any] = {"uri": f"tcp://{LOOPBACK}:{port}", "lost_after_s": 60.0, **keys}
    return WyomingSource(WyomingSource.Options(**merged), context())


def sound_of(frames: list[AudioFrame]) -> Samples:
    return np.concatenate([frame.samples for frame in frames])


class Kept(list["AudioFrame"]):
    """Frames, kept also where their source is lost."""

    def take_all(self, microphone: WyomingSource) -> str:
        microphone.open()
        try:
            for frame in microphone.frames():
                self.append(frame)
        except SourceLost as lost:
            return str(lost)
        finally:
            microphone.close()
        return ""


def test_what_it_sends_is_heard_until_it_hangs_up(loop: InLoop) -> None:
    speech = read_utterance(CLIP)
    script = [AudioStart(16_000, 2, 1).event(), *chunks(speech), Ping().event()]
    heard = Kept()
    with Microphone(loop, script, hangs_up=True) as there:
        reason = heard.take_all(source(there.port))
    assert "it hung up" in reason
    assert np.array_equal(sound_of(heard), speech)
    position = 0
    for frame in heard:
        assert frame.offset == position
        position += len(frame.samples)


def test_other_rates_are_resampled(loop: InLoop) -> None:
    at = np.arange(48_000) / 48_000
    sine = (9000 * np.sin(2 * np.pi * 500 * at)).astype(np.int16)
    heard = Kept()
    with Microphone(loop, chunks(sine, 48_000), hangs_up=True) as there:
        heard.take_all(source(there.port))
    assert len(sound_of(heard)) == pytest.approx(16_000, abs=500)


def test_it_keeps_the_promises_of_a_source(loop: InLoop) -> None:
    with Microphone(loop, chunks(tone(1.0)), again=True) as there:
        check_source(source(there.port))


@pytest.mark.parametrize(
    ("script", "reason", "lost_after_s"),
    [
        ([], "it sends no sound", 0.5),
        (
            [Event("audio-chunk", {"rate": 0, "width": 2, "channels": 1}, bytes(10))],
            "of no format that can be read",
            60.0,
        ),
        ([Event("audio-chunk", {}, bytes(10))], "of no format that can be read", 60.0),
    ],
)
def test_one_that_sends_nothing_of_use_is_lost_with_the_reason(
    loop: InLoop, script: list[Event], reason: str, lost_after_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser_agent.sources.wyoming.FIRST_SOUND_S", 0.0)
    with Microphone(loop, script) as there:
        told = Kept().take_all(source(there.port, lost_after_s=lost_after_s))
    assert told == f"Wyoming microphone tcp://{LOOPBACK}:{there.port}: {told.rpartition(': ')[2]}"
    assert reason in told


def test_something_else_that_answers_there_is_told(broker_like: int) -> None:
    assert "it does not speak Wyoming" in Kept().take_all(source(broker_like))


@pytest.fixture
def broker_like(loop: InLoop) -> Iterator[int]:
    """A server that says what is no Wyoming."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 welcome\r\n")
        await writer.drain()
        writer.close()

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(greet, LOOPBACK, 0)

    async def end() -> None:
        await dismiss(server, set())

    server: asyncio.Server = loop.run(serve())
    yield server.sockets[0].getsockname()[1]
    loop.run(end())


def test_nobody_there_is_told_with_the_address() -> None:
    port = free_port()
    with pytest.raises(SourceError, match=f"tcp://{LOOPBACK}:{port}: connection refused"):
        source(port).open()


def test_close_from_another_thread_ends_the_waiting(loop: InLoop) -> None:
    with Microphone(loop, []) as there:
        waiting = source(there.port)
        waiting.open()
        ended = threading.Thread(target=lambda: list(waiting.frames()), daemon=True)
        ended.start()
        wait_until(lambda: there.visitors, "it is connected")
        waiting.close()
        ended.join(PATIENCE_S)
        assert not ended.is_alive()


@pytest.mark.parametrize("uri", ["bedroom:10600", "http://bedroom:10600", "tcp://bedroom"])
def test_an_address_that_makes_no_sense_is_told_with_its_key(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"source\.uri: expected tcp://HOST:PORT"):
        load(overrides=("source.type=wyoming", f"source.uri={uri}"))
