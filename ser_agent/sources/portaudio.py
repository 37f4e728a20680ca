"""The one module that imports PyAudio: devices and streams, and PortAudio's ways of failing put into words."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import pyaudio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OnBlock: TypeAlias = "Callable[[bytes, bool], None]"
COMMON_RATES = (8_000, 16_000, 44_100, 48_000)


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


class _Stderr:
    """File descriptor 2, silenced: ALSA and JACK print some sixty lines there when PortAudio looks for devices."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._kept: int | None = None

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Silence it for a while; several threads may do so at once."""
        with self._lock:
            self._inside += 1
            if self._kept is None:
                self._silence()
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._restore()

    def lift(self) -> None:
        """Let it be heard again at once: what it was silenced for hangs, and the log must be heard."""
        with self._lock:
            self._restore()

    def _silence(self) -> None:
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
            self._kept = os.dup(2)
        except OSError:
            return  # a process may be without: nothing to silence
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)

    def _restore(self) -> None:
        if self._kept is not None:
            os.dup2(self._kept, 2)
            os.close(self._kept)
            self._kept = None


STDERR = _Stderr()


class PortAudio:
    """One initialisation of PortAudio. Its device list is frozen until ``terminate`` and a new instance."""

    def __init__(self) -> None:
        """Look for devices.

        Raises:
            PortAudioError: PortAudio cannot be initialised.
        """
        with STDERR.quiet():
            try:
                self._pyaudio = pyaudio.PyAudio()
            except OSError as error:
                raise PortAudioError(str(error)) from error

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
        with STDERR.quiet():
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

    def capture(self, device: DeviceInfo, rate: int, channels: int, frames: int, on_block: OnBlock) -> Capture:
        """Start capturing.

        Args:
            device: what to listen to.
            rate: samples per second.
            channels: how many.
            frames: samples of each channel in a block.
            on_block: gets each block as interleaved int16 bytes, and whether sound was lost before it, in a thread
                of PortAudio; must not wait or raise.

        Raises:
            PortAudioError: the device does not open.
        """

        def callback(data: bytes | None, _count: int, _times: object, status: int) -> tuple[None, int]:
            if data:
                on_block(data, bool(status & pyaudio.paInputOverflow))
            return (None, pyaudio.paContinue)

        with STDERR.quiet():
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
        with STDERR.quiet(), suppress(OSError):
            self._pyaudio.terminate()


class Capture:
    """A running capture."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - PyAudio has no types
        self._stream = stream
        self._lock = threading.Lock()
        self._closing = False

    @property
    def active(self) -> bool:
        """Whether PortAudio believes that it still runs."""
        with self._lock:  # PortAudio must not be asked about a stream that it is freeing
            if self._closing:
                return False
            try:
                return bool(self._stream.is_active())
            except OSError:
                return False

    def close(self) -> None:
        """Stop it; a device that has gone does not matter."""
        with self._lock:
            self._closing = True
        with STDERR.quiet(), suppress(OSError):
            self._stream.close()
