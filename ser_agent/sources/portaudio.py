"""The one module that imports PyAudio: devices and streams, and PortAudio's ways of failing put into words."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyaudio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COMMON_RATES = (8_000, 16_000, 44_100, 48_000)
_quieting = threading.Lock()


class PortAudioError(Exception):
    """PortAudio refused; the message is its own."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """An input device.

    Attributes:
        index: PortAudio's number for it; may change when devices come and go.
        name: its name.
        channels: most input channels.
        native_rate: samples per second that it prefers.
        is_default: whether it is the system's default input.
        rates: those of the common rates that it takes, samples per second; empty where that was not asked.
    """

    index: int
    name: str
    channels: int
    native_rate: int
    is_default: bool
    rates: tuple[int, ...] = ()


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Silence file descriptor 2: ALSA and JACK print some sixty lines there when PortAudio looks for devices."""
    with _quieting:
        sys.stderr.flush()
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


class PortAudio:
    """One initialisation of PortAudio. Its device list is frozen until ``terminate`` and a new instance."""

    def __init__(self) -> None:
        with quiet_stderr():
            self._pyaudio = pyaudio.PyAudio()

    def inputs(self) -> list[DeviceInfo]:
        """The input devices, as they were when this instance was made."""
        try:
            default = int(self._pyaudio.get_default_input_device_info()["index"])
        except OSError:
            default = -1
        every = (self._pyaudio.get_device_info_by_index(i) for i in range(self._pyaudio.get_device_count()))
        return [
            DeviceInfo(
                index=int(device["index"]),
                name=str(device["name"]),
                channels=int(device["maxInputChannels"]),
                native_rate=round(float(device["defaultSampleRate"])),
                is_default=int(device["index"]) == default,
            )
            for device in every
            if int(device["maxInputChannels"]) > 0
        ]

    def takes(self, device: DeviceInfo, rate: int, channels: int) -> bool:
        """Whether a device takes a rate and a number of channels."""
        with quiet_stderr():
            try:
                return bool(
                    self._pyaudio.is_format_supported(
                        rate,
                        input_device=device.index,
                        input_channels=channels,
                        input_format=pyaudio.paInt16,
                    )
                )
            except ValueError:
                return False

    def capture(
        self, device: DeviceInfo, rate: int, channels: int, frames: int, on_block: Callable[[bytes], None]
    ) -> Capture:
        """Start capturing.

        Args:
            device: what to listen to.
            rate: samples per second.
            channels: how many.
            frames: samples of each channel in a block.
            on_block: gets each block as interleaved int16 bytes, in a thread of PortAudio; must not wait or raise.

        Raises:
            PortAudioError: the device does not open.
        """

        def callback(data: bytes | None, *_: object) -> tuple[None, int]:
            if data:
                on_block(data)
            return (None, pyaudio.paContinue)

        with quiet_stderr():
            try:
                stream = self._pyaudio.open(
                    rate=rate,
                    channels=channels,
                    format=pyaudio.paInt16,
                    input=True,
                    input_device_index=device.index,
                    frames_per_buffer=frames,
                    stream_callback=callback,
                )
            except (OSError, ValueError) as error:
                raise PortAudioError(str(error)) from error
        return Capture(stream)

    def terminate(self) -> None:
        """Give PortAudio back."""
        with quiet_stderr(), suppress(OSError):
            self._pyaudio.terminate()


class Capture:
    """A running capture."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - PyAudio has no types
        self._stream = stream

    @property
    def active(self) -> bool:
        """Whether PortAudio believes that it still runs."""
        try:
            return bool(self._stream.is_active())
        except OSError:
            return False

    def close(self) -> None:
        """Stop it; a device that has gone does not matter."""
        with quiet_stderr(), suppress(OSError):
            self._stream.close()
