"""Any rate and any number of channels in, int16 mono 16 kHz out, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soxr

from ser_agent.audio import SAMPLE_RATE, Samples, pcm16_from_float, to_mono

if TYPE_CHECKING:
    from numpy.typing import NDArray


class MonoResampler:
    """Averages the channels and resamples, block by block; how the blocks are cut makes no difference."""

    def __init__(self, rate: int) -> None:
        """Start a stream.

        Args:
            rate: samples per second of what comes in.
        """
        self._stream = None if rate == SAMPLE_RATE else soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")

    def convert(self, block: NDArray[np.float32], *, last: bool = False) -> Samples:
        """Convert the next block.

        Args:
            block: float32 of -1 to 1, shape ``(n,)`` or ``(n, channels)``.
            last: nothing will follow: give what the filter still holds.

        Returns:
            int16, shape ``(m,)``; m may be 0.
        """
        mono = to_mono(block)
        if self._stream is not None:
            mono = np.asarray(self._stream.resample_chunk(mono, last=last), dtype=np.float32)
        return pcm16_from_float(mono)
