"""How much later an assistant answers because it learns how a command was said.

    python -m benchmarks.assistants [--passes 2]

Recorded commands, in real time, with the pause of 0.7 s after which Home Assistant takes a command to have ended.
Wyoming: from the end of the command to its transcript, straight from a speech-to-text server that takes 0, 100 or
400 ms, and through the proxy in front of it, by turns. OpenVoiceOS: how long its listener waits for the
transformer.
The proxy is a process of its own; the client and the server share another one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.readme import assistants_table
from ser_agent.audio import SAMPLE_RATE
from ser_agent.audio_files import read_utterance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wyoming.event import Event

    from ser_agent.audio import Samples

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = Path(__file__).parent / "results" / "assistants.json"
RECOGNISER_MS: Final = (0, 100, 400)
MAX_DELAY_MS: Final = 150
PAUSE_S: Final = 0.7
CHUNK: Final = 1024
START_S: Final = 120.0
LOOPBACK: Final = "127.0.0.1"
CONFIG: Final = {"site": "benchmark", "sinks": [], "classifier": {"threads": 1}}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=2, help="how often each command is said")
    passes = parser.parse_args().passes
    figures = {
        "cores": len(os.sched_getaffinity(0)),
        "max_delay_ms": MAX_DELAY_MS,
        "commands": passes * len(commands()),
        "wyoming": [measure_proxy(recogniser_ms, passes) for recogniser_ms in RECOGNISER_MS],
        "ovos": measure_transformer(passes),
    }
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(assistants_table(figures))


def commands() -> list[Samples]:
    """Recorded speech, each clip with the pause that ends a command."""
    pause = np.random.default_rng(1).normal(0, 8, round(PAUSE_S * SAMPLE_RATE)).astype(np.int16)
    clips = [read_utterance(path) for path in sorted((ROOT / "tests" / "data").glob("*.opus"))]
    return [np.concatenate([clip, pause]) for clip in clips]


def measure_proxy(recogniser_ms: int, passes: int) -> dict[str, Any]:
    """One recogniser: straight and through the proxy, by turns."""
    with running_server(recogniser_ms) as server, running_proxy(server) as proxy:
        asyncio.run(say(proxy, commands()[0]))  # the first one of a process is slower
        direct, through, told = [], [], 0
        for command in commands() * passes:
            direct.append(asyncio.run(say(server, command))[0])
            took_s, emotion = asyncio.run(say(proxy, command))
            through.append(took_s)
            told += emotion
    base_s = statistics.median(direct)
    return {
        "recogniser_ms": recogniser_ms,
        "direct_p50_ms": _ms(base_s),
        "proxy_p50_ms": _ms(statistics.median(through)),
        "added_p50_ms": _ms(statistics.median(through) - base_s),
        "added_p95_ms": _ms(float(np.quantile(through, 0.95)) - base_s),
        "told": told,
    }


async def say(port: int, command: Samples) -> tuple[float, bool]:
    """Have a command recognised as it is spoken.

    Returns:
        Seconds from its end to the transcript, and whether that tells an emotion.
    """
    from wyoming.asr import Transcript  # noqa: PLC0415 - an extra
    from wyoming.client import AsyncTcpClient  # noqa: PLC0415 - an extra

    async with AsyncTcpClient(LOOPBACK, port) as client:
        began_s = time.monotonic()
        for index, event in enumerate(events_of(command)):
            due_s = began_s + index * CHUNK / SAMPLE_RATE
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            await client.write_event(event)
        ended_s = time.monotonic()
        while (answer := await client.read_event()) is not None:
            if Transcript.is_type(answer.type):
                context = Transcript.from_event(answer).context or {}
                return time.monotonic() - ended_s, "emotion" in context
    raise SystemExit("no transcript came")


def events_of(command: Samples) -> Iterator[Event]:
    """What Home Assistant sends."""
    from wyoming.asr import Transcribe  # noqa: PLC0415 - an extra
    from wyoming.audio import AudioChunk, AudioStart, AudioStop  # noqa: PLC0415 - an extra

    yield Transcribe(language="en").event()
    yield AudioStart(SAMPLE_RATE, 2, 1).event()
    for start in range(0, len(command), CHUNK):
        yield AudioChunk(SAMPLE_RATE, 2, 1, command[start : start + CHUNK].tobytes()).event()
    yield AudioStop().event()


@contextmanager
def running_server(recogniser_ms: int) -> Iterator[int]:
    """A speech-to-text server that takes so long, in a thread; its port."""
    from wyoming.asr import Transcript  # noqa: PLC0415 - an extra
    from wyoming.event import async_read_event, async_write_event  # noqa: PLC0415 - an extra

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (event := await async_read_event(reader)) is not None:
            if event.type == "audio-stop":
                await asyncio.sleep(recogniser_ms / 1000)
                await async_write_event(Transcript("turn on the light").event(), writer)
        writer.close()

    async def serve() -> int:
        server = await asyncio.start_server(attend, LOOPBACK, 0)
        port: int = server.sockets[0].getsockname()[1]
        return port

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    yield asyncio.run_coroutine_threadsafe(serve(), loop).result()
    loop.call_soon_threadsafe(loop.stop)


@contextmanager
def running_proxy(upstream: int) -> Iterator[int]:
    """``ser-agent wyoming-proxy`` with the embedded model; its port."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "agent.yaml"
        config.write_text(json.dumps(CONFIG), encoding="utf-8")
        arguments = ["--listen", f"tcp://{LOOPBACK}:{port}", "--upstream", f"tcp://{LOOPBACK}:{upstream}"]
        arguments += ["--max-delay-ms", str(MAX_DELAY_MS), "--no-announce", "--config", str(config)]
        command = [sys.executable, "-m", "ser_agent", "wyoming-proxy", *arguments]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                _wait_for(port)
                yield port
            finally:
                process.terminate()


def measure_transformer(passes: int) -> dict[str, Any]:
    """OpenVoiceOS's transformer with the embedded model in the listener's process."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        from ser_agent.ovos.transformer import EmotionTransformer  # noqa: PLC0415 - an extra

        file = Path(folder) / "agent.yaml"
        file.write_text(json.dumps(CONFIG), encoding="utf-8")
        transformer = EmotionTransformer(config={"deadline_ms": MAX_DELAY_MS, "config": str(file)})
        deadline_s = time.monotonic() + START_S
        while not transformer.ready and time.monotonic() < deadline_s:
            time.sleep(0.1)
    took_s, told = [], 0
    for number, command in enumerate([commands()[0], *commands() * passes]):
        began_s = time.monotonic()
        for index, start in enumerate(range(0, len(command), CHUNK)):
            time.sleep(max(0.0, began_s + index * CHUNK / SAMPLE_RATE - time.monotonic()))
            transformer.feed_speech_chunk(command[start : start + CHUNK].tobytes())
        ended_s = time.monotonic()
        _, context = transformer.transform(b"")
        if number:  # the first one of a process is slower
            took_s.append(time.monotonic() - ended_s)
            told += "emotion" in context
    transformer.shutdown()
    p95_s = float(np.quantile(took_s, 0.95))
    return {"added_p50_ms": _ms(statistics.median(took_s)), "added_p95_ms": _ms(p95_s), "told": told}


def _wait_for(port: int) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=1.0):
                return
        except OSError:
            if time.monotonic() > deadline_s:
                raise SystemExit("the proxy does not start") from None
            time.sleep(0.2)


def _ms(duration_s: float) -> int:
    return round(1000 * duration_s)


if __name__ == "__main__":
    main()
