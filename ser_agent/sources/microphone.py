"""The microphone: any device that PortAudio knows, at 16 kHz or at its own rate, its channels averaged."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from ser_agent.audio import SAMPLE_RATE, AudioFrame, float_from_pcm16
from ser_agent.buffer import BoundedQueue, Closed
from ser_agent.errors import SourceError, SourceLost
from ser_agent.options import PluginOptions
from ser_agent.resampling import MonoResampler
from ser_agent.sources.aside import HangsError
from ser_agent.sources.devices import OPEN_S, PORTAUDIO, find_device, hanging, initialised, portaudio_library
from ser_agent.sources.sound_check import Block, SoundCheck

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ser_agent.ports import PluginContext
    from ser_agent.sources.portaudio import Capture, DeviceInfo, PortAudio

log = logging.getLogger(__name__)

POLL_S = 0.25
FIRST_BLOCK_S = 3.0
"""How much longer than usual the first block may take: PulseAudio was seen to need two seconds to begin."""
CLOSE_S = 2.0
"""How long ``close`` waits for an audio server that hangs."""


class BlockConverter:
    """From a device's blocks to frames. Where blocks are missing, the offsets have the same gap."""

    def __init__(self, rate: int, channels: int) -> None:
        """Begin where the device opened.

        Args:
            rate: samples per second of what comes in.
            channels: how many.
        """
        self._rate = rate
        self._channels = channels
        self._resampler = MonoResampler(rate)
        self._expected = 0
        self._produced = 0

    def convert(self, block: Block) -> AudioFrame | None:
        """The next block's sound; None where the resampler still holds it back."""
        if block.position != self._expected:
            self._resampler = MonoResampler(self._rate)
            self._produced = round(block.position * SAMPLE_RATE / self._rate)
        interleaved = np.frombuffer(block.data, dtype=np.int16)
        self._expected = block.position + len(interleaved) // self._channels
        samples = self._resampler.convert(float_from_pcm16(interleaved).reshape(-1, self._channels))
        if len(samples) == 0:
            return None
        offset = self._produced
        self._produced += len(samples)
        held_back_s = block.position / self._rate - offset / SAMPLE_RATE
        return AudioFrame(samples, offset, block.captured_at - held_back_s)


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
        self._wanted = False
        self._portaudio: PortAudio | None = None
        self._capture: Capture | None = None
        self._device: DeviceInfo | None = None
        self._rate = SAMPLE_RATE
        self._channels = 1
        self._check = SoundCheck()
        self._blocks: BoundedQueue[Block] = BoundedQueue(1)

    def open(self) -> None:
        """Initialise PortAudio anew, so that devices that have come are seen, and start capturing.

        Raises:
            SourceError: there is no such device, or it does not open, or the audio server hangs.
        """
        self._blocks.close()
        self._wanted = True
        try:
            PORTAUDIO.run(self._acquire, OPEN_S)
        except HangsError as error:
            self._wanted = False
            raise hanging() from error

    def frames(self) -> Iterator[AudioFrame]:
        """Yield what is heard.

        Raises:
            SourceLost: the device ceased to deliver.
        """
        blocks, capture = self._blocks, self._capture
        converter = BlockConverter(self._rate, self._channels)
        patience_s = self._options.lost_after_s + FIRST_BLOCK_S
        self._check.begin(self._name)
        last_block_at = time.monotonic()
        while capture is not None:
            try:
                block = blocks.get(POLL_S)
                silent_s = time.monotonic() - last_block_at
                if block is None and (silent_s > patience_s or not capture.active):
                    block = blocks.get(0)  # it may have come, or the source been closed, just now
                    if block is None:
                        raise SourceLost(self._why_lost(capture, silent_s))
            except Closed:
                return
            if block is None:
                continue
            last_block_at = time.monotonic()
            patience_s = self._options.lost_after_s
            self._check.hear(block, self._rate, self._channels)
            if (frame := converter.convert(block)) is not None:
                yield frame

    def close(self) -> None:
        """Release the device. Where the audio server hangs, that happens once it goes on."""
        self._blocks.close()
        self._wanted = False
        try:
            PORTAUDIO.run(self._release, CLOSE_S)
        except HangsError:
            log.warning("%s", hanging())

    def counts(self) -> Mapping[str, int]:
        """For ``stats``: seconds of nothing but zeros up to now, blocks that clipped, and pace in percent."""
        return self._check.counts()

    @property
    def dropped_blocks(self) -> int:
        """Blocks dropped since ``open`` because nobody took them in time."""
        return self._blocks.dropped

    def _acquire(self) -> None:
        self._release()
        self._portaudio = initialised()
        try:
            self._start(self._portaudio)
        except Exception:
            self._release()
            raise
        if not self._wanted:  # it took so long that it was given up
            self._release()

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.close()
            self._capture = None
        if self._portaudio is not None:
            self._portaudio.terminate()
            self._portaudio = None

    def _start(self, portaudio: PortAudio) -> None:
        device = find_device(portaudio.inputs(), self._options.device)
        refusals = []
        for rate, channels in self._shapes(device):
            try:
                self._capture, self._blocks = self._captured(portaudio, device, rate, channels)
            except portaudio_library().PortAudioError as error:
                refusals.append(f"{rate} Hz with {channels} channel{'s' if channels > 1 else ''}: {error}")
            else:
                self._device, self._rate, self._channels = device, rate, channels
                return
        raise SourceError(f"microphone {device.name!r} does not open at {'; '.join(refusals)}")

    def _shapes(self, device: DeviceInfo) -> Iterable[tuple[int, int]]:
        """Rate and channels to try one after the other: the wanted ones, else ours, else the device's own.

        Opening tells whether the device takes them. PyAudio would also answer that beforehand, yet holds the
        interpreter's lock meanwhile: with a server that hangs, all of this process would stand still.
        """
        rates = (self._options.rate,) if self._options.rate else (SAMPLE_RATE, device.native_rate)
        channels = (self._options.channels,) if self._options.channels else (1, device.channels)
        return dict.fromkeys((rate, count) for rate in rates for count in channels)

    def _captured(
        self, portaudio: PortAudio, device: DeviceInfo, rate: int, channels: int
    ) -> tuple[Capture, BoundedQueue[Block]]:
        frames = max(1, round(rate * self._options.frame_ms / 1000))
        blocks: BoundedQueue[Block] = BoundedQueue(
            max(2, round(self._options.buffer_s * 1000 / self._options.frame_ms))
        )
        position = 0

        def on_block(data: bytes, sound_was_lost: bool) -> None:  # noqa: FBT001 - the callback's signature
            nonlocal position
            if sound_was_lost:
                position += frames  # how much, PortAudio doesn't say
            count = len(data) // (2 * channels)
            blocks.put(Block(position, time.monotonic() - count / rate, data))
            position += count

        return portaudio.capture(device, rate, channels, frames, on_block), blocks

    @property
    def _name(self) -> str:
        return self._device.name if self._device else "?"

    def _why_lost(self, capture: Capture, silent_s: float) -> str:
        name = self._name
        if not capture.active:
            return f"microphone {name!r} stopped delivering sound"
        return f"microphone {name!r} has delivered nothing for {silent_s:.1f} s"
