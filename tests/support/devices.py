"""A machine with input devices that are made up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_agent.sources.portaudio import DeviceInfo, PortAudioError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.sources.portaudio import OnBlock


class FakeCapture:
    def __init__(self) -> None:
        self.is_active: Callable[[], bool] = lambda: True
        self.closed = False

    @property
    def active(self) -> bool:
        return self.is_active()

    def close(self) -> None:
        self.closed = True


class FakePortAudio:
    """A machine with one input device at first, whose devices take some rates and numbers of channels."""

    def __init__(self, takes: set[tuple[int, int]], channels: int = 2) -> None:
        self._takes = takes
        self.devices = [DeviceInfo(0, "array", channels, native_rate=48_000, is_default=True)]
        self.tried: list[tuple[int, int]] = []
        self.running = FakeCapture()
        self.deliver: OnBlock = lambda _data, _lost: None
        self.terminated = False

    def inputs(self) -> list[DeviceInfo]:
        return list(self.devices)

    def capture(self, device: DeviceInfo, rate: int, channels: int, frames: int, on_block: OnBlock) -> FakeCapture:
        self.tried.append((rate, channels))
        if (rate, channels) not in self._takes:
            raise PortAudioError("Invalid sample rate")
        self.deliver = on_block
        return self.running

    def terminate(self) -> None:
        self.terminated = True
