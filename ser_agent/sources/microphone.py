"""The microphone: any device that PortAudio knows, at 16 kHz or at its own rate, its channels averaged."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from ser_agent.audio import SAMPLE_RATE, AudioFrame, float_from_pcm16
from ser_agent.buffer import BoundedQueue, Closed
from ser_agent.errors import SourceError, SourceLost
from ser_agent.options import PluginOptions
from ser_agent.resampling import MonoResampler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from ser_agent.ports import PluginContext
    from ser_agent.sources.portaudio import Capture, DeviceInfo, PortAudio

POLL_S = 0.25


class MicrophoneOptions(PluginOptions):
    """Keys of the microphone."""

    type: Literal["microphone"] = "microphone"
    device: str | int = "default"
    """`default`, part of a name as `ser-agent devices` shows it, or an index."""
    rate: int | None = Field(default=None, ge=8_000, le=384_000)
    """Samples per second to capture at; `null`: 16000, or the device's own where it refuses that."""
    channels: int | None = Field(default=None, ge=1, le=64)
    """Channels to capture and average; `null`: one, or all of the device's where it refuses that."""
    frame_ms: int = Field(default=32, ge=10, le=200)
    """Length of the blocks that the device delivers."""
    buffer_s: float = Field(default=2.0, ge=0.1, le=30.0)
    """How much sound waits at most for the detector; then the oldest is dropped, and counted."""
    lost_after_s: float = Field(default=2.0, ge=0.5, le=60.0)
    """Without a block for so long, the device counts as lost."""


class MicrophoneSource:
    """A microphone, or any other input that PortAudio knows."""

    Options = MicrophoneOptions
    live = True

    def __init__(self, options: MicrophoneOptions, context: PluginContext) -> None:  # noqa: ARG002 - the port's
        self._options = options
        self._lock = threading.Lock()
        self._portaudio: PortAudio | None = None
        self._capture: Capture | None = None
        self._device: DeviceInfo | None = None
        self._rate = SAMPLE_RATE
        self._channels = 1
        self._blocks: BoundedQueue[tuple[int, float, bytes]] = BoundedQueue(1)

    def open(self) -> None:
        """Initialise PortAudio anew, so that devices that have come are seen, and start capturing.

        Raises:
            SourceError: there is no such device, or it does not open.
        """
        self.close()
        with self._lock:
            self._portaudio = _library().PortAudio()
            try:
                self._start(self._portaudio)
            except SourceError:
                self._portaudio.terminate()
                self._portaudio = None
                raise

    def frames(self) -> Iterator[AudioFrame]:
        """Yield what is heard.

        Raises:
            SourceLost: the device ceased to deliver.
        """
        blocks, capture = self._blocks, self._capture
        resampler = MonoResampler(self._rate)
        expected = produced = 0
        last_block_at = time.monotonic()
        while capture is not None:
            try:
                block = blocks.get(POLL_S)
            except Closed:
                return
            now = time.monotonic()
            if block is None:
                if not capture.active or now - last_block_at > self._options.lost_after_s:
                    raise SourceLost(self._why_lost(capture, now - last_block_at))
                continue
            last_block_at = now
            position, captured_at, data = block
            if position != expected:  # blocks were dropped: leave the same gap in the offsets, and start afresh
                resampler = MonoResampler(self._rate)
                produced = round(position * SAMPLE_RATE / self._rate)
            interleaved = np.frombuffer(data, dtype=np.int16)
            expected = position + len(interleaved) // self._channels
            samples = resampler.convert(float_from_pcm16(interleaved).reshape(-1, self._channels))
            if len(samples):
                yield AudioFrame(samples, produced, captured_at)
                produced += len(samples)

    def close(self) -> None:
        """Release the device."""
        with self._lock:
            self._blocks.close()
            if self._capture is not None:
                self._capture.close()
                self._capture = None
            if self._portaudio is not None:
                self._portaudio.terminate()
                self._portaudio = None

    @property
    def dropped_blocks(self) -> int:
        """Blocks dropped since ``open`` because nobody took them in time."""
        return self._blocks.dropped

    def _start(self, portaudio: PortAudio) -> None:
        device = find_device(portaudio.inputs(), self._options.device)
        rate, channels = self._shape(portaudio, device)
        frames = max(1, round(rate * self._options.frame_ms / 1000))
        blocks: BoundedQueue[tuple[int, float, bytes]] = BoundedQueue(
            max(2, round(self._options.buffer_s * 1000 / self._options.frame_ms))
        )
        position = 0

        def on_block(data: bytes) -> None:
            nonlocal position
            count = len(data) // (2 * channels)
            blocks.put((position, time.monotonic() - count / rate, data))
            position += count

        try:
            self._capture = portaudio.capture(device, rate, channels, frames, on_block)
        except _library().PortAudioError as error:
            raise SourceError(f"microphone {device.name!r} does not open at {rate} Hz: {error}") from error
        self._device, self._rate, self._channels, self._blocks = device, rate, channels, blocks

    def _shape(self, portaudio: PortAudio, device: DeviceInfo) -> tuple[int, int]:
        """Rate and channels to capture with: the wanted ones, else what the device takes."""
        channels = (self._options.channels,) if self._options.channels else (1, device.channels)
        rates = (self._options.rate,) if self._options.rate else (SAMPLE_RATE, device.native_rate)
        for rate in rates:
            for count in channels:
                if portaudio.takes(device, rate, count):
                    return rate, count
        raise SourceError(
            f"microphone {device.name!r} takes none of {' or '.join(map(str, rates))} Hz "
            f"with {' or '.join(map(str, channels))} channels"
        )

    def _why_lost(self, capture: Capture, silent_s: float) -> str:
        name = self._device.name if self._device else "?"
        if not capture.active:
            return f"microphone {name!r} stopped delivering sound"
        return f"microphone {name!r} has delivered nothing for {silent_s:.1f} s"


def find_device(devices: list[DeviceInfo], wanted: str | int) -> DeviceInfo:
    """Choose an input device.

    Args:
        devices: what there is.
        wanted: ``default``, part of a name in any case, or an index.

    Raises:
        SourceError: there is none, or none that fits; the message names those there are.
    """
    if not devices:
        raise SourceError("this machine has no microphone (no input device)")
    if wanted == "default":
        return next((device for device in devices if device.is_default), devices[0])
    for device in devices:
        if device.index == wanted or (isinstance(wanted, str) and wanted.lower() in device.name.lower()):
            return device
    known = ", ".join(f"{device.index}: {device.name}" for device in devices)
    raise SourceError(f"no microphone {wanted!r}; known: {known}")


def list_devices() -> list[DeviceInfo]:
    """The input devices, each with those of the common rates that it takes.

    Raises:
        SourceError: PortAudio cannot be loaded.
    """
    library = _library()
    portaudio = library.PortAudio()
    try:
        return [
            replace(device, rates=tuple(rate for rate in library.COMMON_RATES if portaudio.takes(device, rate, 1)))
            for device in portaudio.inputs()
        ]
    finally:
        portaudio.terminate()


def has_microphone() -> bool:
    """Whether this machine has any input device, or seems to."""
    try:
        portaudio = _library().PortAudio()
    except SourceError:
        return False
    try:
        return bool(portaudio.inputs())
    finally:
        portaudio.terminate()


def _library() -> ModuleType:
    """Import PyAudio's wrapper, late: a file source needs no PortAudio.

    Raises:
        SourceError: PyAudio or the library under it is missing.
    """
    try:
        from ser_agent.sources import portaudio  # noqa: PLC0415 - see above
    except ImportError as error:
        raise SourceError(
            f"PyAudio cannot be loaded ({error}): pip install pyaudio, and apt-get install libportaudio2"
        ) from error
    return portaudio
