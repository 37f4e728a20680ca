"""A microphone somewhere else, which serves its sound by the Wyoming protocol."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from ser_agent.audio import SAMPLE_RATE, AudioFrame, Samples
from ser_agent.errors import SourceError, SourceLost
from ser_agent.options import PluginOptions
from ser_agent.pcm import PcmDecoder, PcmFormat
from ser_agent.wyoming_address import address, explain
from ser_agent.wyoming_wire import AUDIO_CHUNK, Head, Payload, WireParser, sound_format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.ports import PluginContext

CONNECT_S = 5.0
POLL_S = 0.25
FIRST_SOUND_S = 3.0
"""How much longer than usual the first sound may take."""
READ_BYTES = 16_384


class WyomingOptions(PluginOptions):
    """Keys of the Wyoming microphone."""

    type: Literal["wyoming"] = "wyoming"
    uri: str
    """Where it serves, as tcp://bedroom:10600."""
    lost_after_s: float = Field(default=3.0, ge=0.5, le=60.0)
    """Without sound for so long, the microphone counts as lost."""

    @field_validator("uri")
    @classmethod
    def _is_an_address(cls, uri: str) -> str:
        address(uri)
        return uri


class WyomingSource:
    """A microphone that serves its sound by the Wyoming protocol (mic)."""

    Options = WyomingOptions
    live = True

    def __init__(self, options: WyomingOptions, context: PluginContext) -> None:  # noqa: ARG002 - the port's signature
        self._options = options
        self._address = address(options.uri)
        self._closed = threading.Event()
        self._socket: socket.socket | None = None

    def open(self) -> None:
        """Connect.

        Raises:
            SourceError: nobody serves there.
        """
        self.close()
        self._closed = threading.Event()
        try:
            connection = socket.create_connection((self._address.host, self._address.port), CONNECT_S)
        except OSError as error:
            raise SourceError(f"Wyoming microphone {self._address}: {explain(error)}") from error
        connection.settimeout(POLL_S)
        self._socket = connection

    def frames(self) -> Iterator[AudioFrame]:
        """Yield what is heard, as it comes.

        Raises:
            SourceLost: the microphone hung up, ceased to deliver, or serves no Wyoming.
        """
        connection, closed = self._socket, self._closed
        if connection is None:
            return
        hearing = _Hearing()
        deadline_s = time.monotonic() + self._options.lost_after_s + FIRST_SOUND_S
        with connection:
            while not closed.is_set():
                received = self._receive(connection, closed)
                for samples in hearing.hear(received):
                    deadline_s = time.monotonic() + self._options.lost_after_s
                    captured_at = time.monotonic() - len(samples) / SAMPLE_RATE
                    yield AudioFrame(samples, hearing.position - len(samples), captured_at)
                if hearing.fault is not None:
                    raise SourceLost(f"Wyoming microphone {self._address}: {hearing.fault}")
                if time.monotonic() > deadline_s and not closed.is_set():
                    raise SourceLost(f"Wyoming microphone {self._address}: it sends no sound")

    def close(self) -> None:
        """Hang up. May be called from any thread, more than once."""
        self._closed.set()
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _receive(self, connection: socket.socket, closed: threading.Event) -> bytes:
        """What has come, nothing where nothing came in a while or the source was closed.

        Raises:
            SourceLost: the microphone hung up.
        """
        try:
            received = connection.recv(READ_BYTES)
        except TimeoutError:
            return b""
        except OSError as error:
            if closed.is_set():
                return b""
            raise SourceLost(f"Wyoming microphone {self._address}: {explain(error)}") from error
        if not received and not closed.is_set():
            raise SourceLost(f"Wyoming microphone {self._address}: it hung up")
        return received


class _Hearing:
    """From the wire to samples, for one connection.

    Attributes:
        position: samples so far.
        fault: why there can be no more; None while there can.
    """

    def __init__(self) -> None:
        self.position = 0
        self.fault: str | None = None
        self._parser = WireParser()
        self._format: PcmFormat | None = None
        self._decoder: PcmDecoder | None = None
        self._is_sound = False

    def hear(self, received: bytes) -> Iterator[Samples]:
        for token in self._parser.feed(received):
            match token:
                case Head(type=kind, data=data):
                    self._is_sound = kind == AUDIO_CHUNK
                    if self._is_sound:
                        self._take_format(data)
                case Payload(raw) if self._is_sound and self._decoder is not None:
                    samples = self._decoder.decode(raw)
                    if len(samples):
                        self.position += len(samples)
                        yield samples
        if self._parser.broken is not None:
            self.fault = f"it does not speak Wyoming ({self._parser.broken})"

    def _take_format(self, data: Any) -> None:  # noqa: ANN401 - plain JSON values
        pcm = sound_format(data)
        if pcm is None or not pcm.usable:
            self.fault = "its sound is of no format that can be read"
        elif pcm != self._format:
            self._format = pcm
            self._decoder = PcmDecoder(pcm)
