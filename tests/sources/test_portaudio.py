"""PortAudio's wrapper where the real one cannot be made to behave so: with a stand-in for PyAudio."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import pyaudio
import pytest

from ser_agent.sources.devices import list_devices
from ser_agent.sources.portaudio import STDERR, Capture, PortAudio, PortAudioError

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_S = 20.0


class FakeStream:
    def __init__(self, *, active: bool | Exception = True, close_fault: Exception | None = None) -> None:
        self.asked = 0
        self._active = active
        self._close_fault = close_fault

    def is_active(self) -> bool:
        self.asked += 1
        if isinstance(self._active, Exception):
            raise self._active
        return self._active

    def close(self) -> None:
        if self._close_fault:
            raise self._close_fault


class FakePyAudio:
    """PyAudio with two inputs and an output, of which none is the default."""

    DEVICES: tuple[Mapping[str, object], ...] = (
        {"index": 0, "name": "speakers", "maxInputChannels": 0, "defaultSampleRate": 48000.0},
        {"index": 1, "name": "array", "maxInputChannels": 6, "defaultSampleRate": 44100.0},
        {"index": 2, "name": "headset", "maxInputChannels": 1, "defaultSampleRate": 16000.0},
    )

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.fault: Exception | None = None

    def get_default_input_device_info(self) -> Mapping[str, object]:
        raise OSError("No Default Input Device Available")

    def get_device_count(self) -> int:
        return len(self.DEVICES)

    def get_device_info_by_index(self, index: int) -> Mapping[str, object]:
        return self.DEVICES[index]

    def is_format_supported(self, rate: int, **_keys: object) -> bool:
        if rate != 16_000:
            raise ValueError("Invalid sample rate", -9997)
        return True

    def open(self, **keys: Any) -> FakeStream:  # noqa: ANN401 - PyAudio has no types
        self.keys = keys
        if self.fault:
            raise self.fault
        return FakeStream()

    def terminate(self) -> None:
        raise OSError("PortAudio not initialized")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakePyAudio:
    made = FakePyAudio()
    monkeypatch.setattr("ser_agent.sources.portaudio.pyaudio.PyAudio", lambda: made)
    return made


def test_only_what_can_be_listened_to_is_an_input_also_where_there_is_no_default(fake: FakePyAudio) -> None:
    inputs = PortAudio().inputs()
    assert [(device.index, device.name, device.channels) for device in inputs] == [
        (1, "array", 6),
        (2, "headset", 1),
    ]
    assert [device.native_rate for device in inputs] == [44_100, 16_000]
    assert not any(device.is_default for device in inputs)


def test_a_device_takes_the_rates_that_portaudio_does_not_refuse(fake: FakePyAudio) -> None:
    assert [device.rates for device in list_devices()] == [(16_000,), (16_000,)]


@pytest.mark.parametrize("fault", [OSError(-9997, "Invalid sample rate"), ValueError("Invalid channels")])
def test_a_device_that_does_not_open_says_why(fake: FakePyAudio, fault: Exception) -> None:
    portaudio = PortAudio()
    fake.fault = fault
    with pytest.raises(PortAudioError, match="Invalid"):
        portaudio.capture(portaudio.inputs()[0], 48_000, 1, 512, lambda _data, _lost: None)


def test_each_block_comes_with_whether_sound_was_lost_before_it_and_capturing_goes_on(fake: FakePyAudio) -> None:
    portaudio = PortAudio()
    blocks: list[tuple[bytes, bool]] = []
    portaudio.capture(portaudio.inputs()[0], 48_000, 2, 512, lambda data, lost: blocks.append((data, lost)))
    wanted = {key: fake.keys[key] for key in ("rate", "channels", "frames_per_buffer", "input_device_index")}
    assert wanted == {"rate": 48_000, "channels": 2, "frames_per_buffer": 512, "input_device_index": 1}
    callback = fake.keys["stream_callback"]
    for data, status in [(b"ab", 0), (None, 0), (b"cd", pyaudio.paInputOverflow)]:
        assert callback(data, 1, {}, status) == (None, pyaudio.paContinue)
    assert blocks == [(b"ab", False), (b"cd", True)]


def test_giving_it_back_twice_does_not_matter(fake: FakePyAudio) -> None:
    PortAudio().terminate()


@pytest.mark.parametrize(("answer", "active"), [(True, True), (False, False), (OSError("Stream closed"), False)])
def test_a_stream_runs_as_long_as_portaudio_says_so(answer: bool | OSError, active: bool) -> None:  # noqa: FBT001
    assert Capture(FakeStream(active=answer)).active is active


def test_portaudio_is_not_asked_about_a_stream_that_is_being_closed() -> None:
    stream = FakeStream(close_fault=OSError("device unplugged"))
    capture = Capture(stream)
    capture.close()
    assert not capture.active
    assert stream.asked == 0


def test_while_it_is_quiet_nothing_is_seen_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before ")
    with STDERR.quiet():
        os.write(2, b"chatter ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


def test_it_stays_quiet_until_the_last_of_several_threads_is_done(capfd: pytest.CaptureFixture[str]) -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with STDERR.quiet():
            inside.set()
            leave.wait(PATIENCE_S)

    thread = threading.Thread(target=other)
    with STDERR.quiet():
        thread.start()
        assert inside.wait(PATIENCE_S)
    os.write(2, b"chatter ")
    leave.set()
    thread.join(PATIENCE_S)
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_lifted_it_is_heard_though_the_call_that_was_to_be_silenced_still_hangs(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with STDERR.quiet():
        STDERR.lift()
        os.write(2, b"heard ")
    os.write(2, b"after")
    assert capfd.readouterr().err == "heard after"


def test_a_process_without_standard_error_needs_no_silencing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int) -> int:
        raise OSError("bad file descriptor")

    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr("ser_agent.sources.portaudio.os.dup", refuse)
    with STDERR.quiet():
        assert STDERR._kept is None
