"""Which input devices there are, and choosing one. PortAudio is asked for each answer anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ser_agent.errors import SourceError
from ser_agent.sources.aside import Aside, HangsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from ser_agent.sources.portaudio import DeviceInfo, PortAudio

T = TypeVar("T")

OPEN_S = 10.0
"""An audio server that does not answer for so long hangs."""

PORTAUDIO = Aside()
"""Who calls PortAudio, in all of this process: it takes one call at a time, and each may hang with the server."""


def find_device(devices: list[DeviceInfo], wanted: str | int) -> DeviceInfo:
    """Choose an input device.

    Args:
        devices: what there is.
        wanted: ``default``, a name or part of one in any case (the whole name wins), or an index.

    Raises:
        SourceError: there is none, or none that fits; the message names those there are.
    """
    if not devices:
        raise SourceError("this machine has no microphone (no input device)")
    if wanted == "default":
        return next((device for device in devices if device.is_default), devices[0])
    if isinstance(wanted, int):
        fitting = [device for device in devices if device.index == wanted]
    else:
        name = wanted.lower()
        fitting = [device for device in devices if device.name.lower() == name]
        fitting += [device for device in devices if name in device.name.lower()]
    if fitting:
        return fitting[0]
    known = ", ".join(f"{device.index}: {device.name}" for device in devices)
    raise SourceError(f"no microphone {wanted!r}; known: {known}")


def list_devices() -> list[DeviceInfo]:
    """The input devices, each with those of the common rates that it takes.

    Raises:
        SourceError: PortAudio cannot be loaded, or the audio server hangs.
    """

    def find(portaudio: PortAudio) -> list[DeviceInfo]:
        rates = portaudio_library().COMMON_RATES
        return [
            replace(device, rates=tuple(rate for rate in rates if portaudio.takes(device, rate, 1)))
            for device in portaudio.inputs()
        ]

    return _ask(find)


def has_microphone() -> bool:
    """Whether this machine has any input device that can be asked for."""
    try:
        return _ask(lambda portaudio: bool(portaudio.inputs()))
    except SourceError:
        return False


def _ask(question: Callable[[PortAudio], T]) -> T:
    """Put a question to PortAudio, as it finds the devices now."""

    def ask() -> T:
        portaudio = initialised()
        try:
            return question(portaudio)
        finally:
            portaudio.terminate()

    try:
        return PORTAUDIO.run(ask, OPEN_S)
    except HangsError as error:
        raise hanging() from error


def initialised() -> PortAudio:
    """PortAudio, with the devices as they are now.

    Raises:
        SourceError: it cannot be loaded or initialised.
    """
    library = portaudio_library()
    try:
        portaudio: PortAudio = library.PortAudio()
    except library.PortAudioError as error:
        raise SourceError(f"the audio system cannot be used: {error}") from error
    return portaudio


def hanging() -> SourceError:
    """What to say of an audio server that does not answer; nothing keeps the log from being heard any longer."""
    portaudio_library().STDERR.lift()
    return SourceError("the audio system does not answer (does the PulseAudio or PipeWire server hang?)")


def portaudio_library() -> ModuleType:
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
