"""Raw PCM of any rate, width and number of channels in, int16 mono 16 kHz out, however it is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from ser_agent.resampling import MonoResampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ser_agent.audio import Samples

RATES: Final = range(4_000, 384_001)
WIDTHS: Final = range(1, 5)
CHANNELS: Final = range(1, 65)


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """How raw sound is written: little-endian, interleaved; one byte is unsigned, more are signed.

    Attributes:
        rate: samples per second.
        width: bytes of a sample.
        channels: how many.
    """

    rate: int
    width: int
    channels: int

    @property
    def usable(self) -> bool:
        """Whether sound of this kind can be read."""
        return self.rate in RATES and self.width in WIDTHS and self.channels in CHANNELS


class PcmDecoder:
    """Decodes one stream."""

    def __init__(self, pcm: PcmFormat) -> None:
        """Begin a stream.

        Args:
            pcm: how it is written; must be usable.
        """
        self._format = pcm
        self._resampler = MonoResampler(pcm.rate)
        self._rest = b""

    def decode(self, raw: bytes, *, last: bool = False) -> Samples:
        """Decode the next bytes, which may end within a sample.

        Args:
            raw: the bytes.
            last: nothing will follow: give what the filter still holds.

        Returns:
            int16, shape ``(n,)``, mono at ``SAMPLE_RATE``; n may be 0.
        """
        data = self._rest + raw
        whole = len(data) - len(data) % (self._format.width * self._format.channels)
        self._rest = data[whole:]
        interleaved = _floats(data[:whole], self._format.width)
        return self._resampler.convert(interleaved.reshape(-1, self._format.channels), last=last)


def _floats(data: bytes, width: int) -> NDArray[np.float32]:
    if width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / np.float32(128)
    if width == 3:  # the three bytes become the upper ones of four
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        data, width = padded.tobytes(), 4
    samples = np.frombuffer(data, np.dtype(f"<i{width}"))
    return samples.astype(np.float32) / np.float32(2 ** (8 * width - 1))
