"""Raw PCM on standard input: ``arecord -f S16_LE -r 16000 -t raw | ser-agent run --source stdin``."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from ser_agent.audio import SAMPLE_RATE, AudioFrame, float_from_pcm16
from ser_agent.errors import SourceError
from ser_agent.options import PluginOptions
from ser_agent.resampling import MonoResampler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.ports import PluginContext

POLL_S = 0.2
READ_BYTES = 16_384
MOST_DISCARDED_BYTES = 1_048_576
"""A pipe holds no more, unless its writer is faster than we read."""


class StdinOptions(PluginOptions):
    """Keys of the standard-input source."""

    type: Literal["stdin"] = "stdin"
    rate: int = Field(default=16_000, ge=4_000, le=384_000)
    """Samples per second of what comes in: signed 16-bit, little-endian."""
    channels: int = Field(default=1, ge=1, le=64)
    """Interleaved channels; they are averaged."""


class StdinSource:
    """Raw PCM on standard input; its end is the stream's end."""

    Options = StdinOptions
    live = False

    def __init__(self, options: StdinOptions, context: PluginContext) -> None:  # noqa: ARG002 - the port's signature
        self._options = options
        self._closed = threading.Event()
        self._rest = b""

    def open(self) -> None:
        """See whether somebody can write.

        Raises:
            SourceError: standard input is closed or a terminal.
        """
        if sys.stdin is None or sys.stdin.closed:
            raise SourceError("standard input is closed")
        if sys.stdin.isatty():
            raise SourceError("standard input is a terminal: pipe raw audio into it, for example from arecord")
        if self._closed.is_set():
            self._discard()
        self._closed.clear()

    def frames(self) -> Iterator[AudioFrame]:
        """Yield what is written, as it comes."""
        resampler = MonoResampler(self._options.rate)
        frame_bytes = 2 * self._options.channels
        offset = 0
        last = False
        while not last:
            read = self._read()
            last = read is None
            data = self._rest + (read or b"")
            whole = len(data) - len(data) % frame_bytes
            self._rest = data[whole:]
            interleaved = np.frombuffer(data[:whole], dtype="<i2").astype(np.int16)
            block = float_from_pcm16(interleaved).reshape(-1, self._options.channels)
            samples = resampler.convert(block, last=last)
            if len(samples):
                yield AudioFrame(samples, offset, time.monotonic() - len(samples) / SAMPLE_RATE)
                offset += len(samples)

    def close(self) -> None:
        """End ``frames``."""
        self._closed.set()

    def _discard(self) -> None:
        """Let go what was written while nobody wanted to listen, but for a sample that is not whole."""
        descriptor = sys.stdin.fileno()
        left = MOST_DISCARDED_BYTES
        while left > 0 and select.select([descriptor], [], [], 0)[0] and (data := os.read(descriptor, READ_BYTES)):
            left -= len(data)
            data = self._rest + data
            self._rest = data[len(data) - len(data) % (2 * self._options.channels) :]

    def _read(self) -> bytes | None:
        """The next bytes; None at the end or once closed."""
        descriptor = sys.stdin.fileno()
        while not self._closed.is_set():
            readable, _, _ = select.select([descriptor], [], [], POLL_S)
            if readable:
                return os.read(descriptor, READ_BYTES) or None
        return None
