"""The sound in a Hermes message: a complete small WAV of any rate, width and number of channels.

Whoever may publish to the broker may send anything, so nothing is taken on trust: lengths are those of the
message, and whatever is not understood is ``BadWav``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATES: Final = (4_000, 384_000)
MOST_CHANNELS: Final = 64
PCM: Final = 1
FLOAT: Final = 3
EXTENSIBLE: Final = 0xFFFE
"""The real format then stands in the first bytes of the sub-format."""
_HEADER: Final = struct.Struct("<4sI4s")
_CHUNK: Final = struct.Struct("<4sI")
_FORMAT: Final = struct.Struct("<HHIIHH")
_SUBFORMAT_AT: Final = 24


class BadWav(ValueError):  # noqa: N818 - an occurrence, not a mistake of ours
    """No sound can be had from a message: the text says why."""


def read_wav(payload: bytes) -> tuple[int, NDArray[np.int16] | NDArray[np.float32]]:
    """Take the sound out of a message.

    Lengths beyond the message's end, as programs write that do not know them yet, mean all that is there.

    Args:
        payload: as it came.

    Returns:
        Samples per second; and int16 of shape ``(n,)`` where they are just that, else float32 of nominally -1 to 1
        and shape ``(n, channels)``. There is at least one.

    Raises:
        BadWav: there is none.
    """
    if len(payload) < _HEADER.size:
        raise BadWav("too short")
    riff, _, wave = _HEADER.unpack_from(payload)
    if riff != b"RIFF" or wave != b"WAVE":
        raise BadWav("not WAV")
    layout: tuple[int, int, int, int] | None = None
    at = _HEADER.size
    while at + _CHUNK.size <= len(payload):
        name, length = _CHUNK.unpack_from(payload, at)
        at += _CHUNK.size
        body = memoryview(payload)[at : at + length]
        if name == b"fmt ":
            layout = _layout(body)
        elif name == b"data":
            if layout is None:
                raise BadWav("no format before the data")
            return layout[2], _samples(body, *layout)
        at += length + length % 2
    raise BadWav("no data")


def _layout(body: memoryview) -> tuple[int, int, int, int]:
    """Kind, channels, rate and bytes of a sample."""
    if len(body) < _FORMAT.size:
        raise BadWav("the format is cut off")
    kind, channels, rate, _, frame_bytes, bits = _FORMAT.unpack_from(body)
    if kind == EXTENSIBLE and len(body) >= _SUBFORMAT_AT + 2:
        (kind,) = struct.unpack_from("<H", body, _SUBFORMAT_AT)
    width = bits // 8
    if (kind, width) not in {(PCM, 1), (PCM, 2), (PCM, 3), (PCM, 4), (FLOAT, 4), (FLOAT, 8)} or bits % 8:
        raise BadWav(f"format {kind} with {bits} bits")
    if not RATES[0] <= rate <= RATES[1]:
        raise BadWav(f"{rate} samples a second")
    if not 1 <= channels <= MOST_CHANNELS or frame_bytes != channels * width:
        raise BadWav(f"{channels} channels in {frame_bytes} bytes")
    return kind, channels, rate, width


def _samples(
    body: memoryview, kind: int, channels: int, _rate: int, width: int
) -> NDArray[np.int16] | NDArray[np.float32]:
    whole = len(body) - len(body) % (channels * width)
    if not whole:
        raise BadWav("no samples")
    data = body[:whole]
    if (kind, width, channels) == (PCM, 2, 1):
        return np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False)
    return _as_float(data, kind, width).reshape(-1, channels)


def _as_float(data: memoryview, kind: int, width: int) -> NDArray[np.float32]:
    if kind == FLOAT:
        samples = np.frombuffer(data, dtype=f"<f{width}")
        if not np.isfinite(samples).all():
            raise BadWav("samples that are no numbers")
        return np.asarray(np.clip(samples, -1.0, 1.0), dtype=np.float32)
    if width == 1:
        return _scaled(np.frombuffer(data, dtype=np.uint8).astype(np.float32) - np.float32(128), 8)
    if width == 3:
        padded = np.zeros((len(data) // 3, 4), dtype=np.uint8)
        padded[:, 1:] = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
        return _scaled(padded.reshape(-1).view("<i4").astype(np.float32), 32)
    return _scaled(np.frombuffer(data, dtype=f"<i{width}").astype(np.float32), 8 * width)


def _scaled(samples: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    return samples / np.float32(2 ** (bits - 1))
