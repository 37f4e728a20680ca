from __future__ import annotations

import sys

import pytest

import ser_agent.sources
from ser_agent.errors import EX_UNAVAILABLE, SourceError
from ser_agent.sources.devices import find_device, has_microphone, list_devices
from ser_agent.sources.portaudio import DeviceInfo


def device(index: int, name: str, *, is_default: bool = False) -> DeviceInfo:
    return DeviceInfo(index, name, channels=1, native_rate=48_000, is_default=is_default)


ROOM = [
    device(0, "HDA Intel: ALC257 (hw:0,0)"),
    device(2, "USB Mic Pro: Audio (hw:1,0)"),
    device(3, "USB Mic"),
    device(7, "pulse", is_default=True),
]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        pytest.param("default", 7, id="the system's default"),
        pytest.param("usb mic pro", 2, id="part of a name, in any case"),
        pytest.param("USB Mic", 3, id="a whole name before part of one"),
        pytest.param("USB", 2, id="the first of several that fit"),
        pytest.param(0, 0, id="an index"),
        pytest.param(3, 3, id="an index that is not the place in the list"),
    ],
)
def test_a_device_is_found_by(wanted: str | int, index: int) -> None:
    assert find_device(ROOM, wanted).index == index


def test_where_none_is_the_default_it_is_the_first() -> None:
    assert find_device(ROOM[:3], "default").index == 0


@pytest.mark.parametrize("wanted", ["webcam", 1, "3"])
def test_what_is_not_there_is_told_with_what_there_is(wanted: str | int) -> None:
    with pytest.raises(SourceError) as told:
        find_device(ROOM[2:], wanted)
    assert str(told.value) == f"no microphone {wanted!r}; known: 3: USB Mic, 7: pulse"
    assert told.value.exit_code == EX_UNAVAILABLE


@pytest.mark.parametrize("wanted", ["default", "USB", 0])
def test_a_machine_without_devices_is_told_so_whatever_is_wanted(wanted: str | int) -> None:
    with pytest.raises(SourceError, match="this machine has no microphone"):
        find_device([], wanted)


@pytest.fixture
def no_pyaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where PyAudio, or the library under it, is not installed."""
    monkeypatch.delattr(ser_agent.sources, "portaudio")
    monkeypatch.setitem(sys.modules, "ser_agent.sources.portaudio", None)


@pytest.mark.usefixtures("no_pyaudio")
def test_without_pyaudio_it_is_told_what_to_install() -> None:
    with pytest.raises(
        SourceError, match=r"PyAudio cannot be loaded .*: pip install pyaudio, and apt-get install"
    ):
        list_devices()


@pytest.mark.usefixtures("no_pyaudio")
def test_without_pyaudio_there_is_no_microphone() -> None:
    assert not has_microphone()


def test_an_audio_system_that_cannot_be_initialised_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError(-9999, "Unanticipated host error")

    monkeypatch.setattr("ser_agent.sources.portaudio.pyaudio.PyAudio", refuse)
    assert not has_microphone()
    with pytest.raises(SourceError, match=r"the audio system cannot be used: .*Unanticipated host error"):
        list_devices()
