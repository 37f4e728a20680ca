"""The WebRTC project's detector: Gaussian mixtures over six bands, 2 µs each; most noises pass for speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import webrtcvad
from pydantic import Field

from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE
from ser_agent.options import VadOptions

if TYPE_CHECKING:
    from ser_agent.audio import Samples
    from ser_agent.ports import PluginContext

BLOCK_SAMPLES = SAMPLE_RATE // 100
"""10 ms: of the lengths that the detector takes, the one that leaves the least over from hop to hop."""


class WebRtcOptions(VadOptions):
    """Keys of the WebRTC detector."""

    type: Literal["webrtc"] = "webrtc"
    aggressiveness: int = Field(default=2, ge=0, le=3)
    """0 takes the most for speech, 3 the least."""


class WebRtcVad:
    """WebRTC's detector alone: the cheapest, and the easiest to fool."""

    Options = WebRtcOptions

    def __init__(self, options: WebRtcOptions, context: PluginContext) -> None:  # noqa: ARG002 - the port's signature
        self._aggressiveness = options.aggressiveness
        self._engine = webrtcvad.Vad(self._aggressiveness)
        # Always the same memory: short copies would leave their sound behind when they are freed.
        self._samples = np.zeros(HOP_SAMPLES + BLOCK_SAMPLES, dtype=np.int16)
        self._bytes = self._samples.data.cast("B")
        self._rest = 0

    def probability(self, hop: Samples) -> float:
        """Part of the hop's blocks of 10 ms that are voiced; what is left over is judged with the next hop."""
        filled = self._rest + len(hop)
        self._samples[self._rest : filled] = hop
        starts = range(0, filled - BLOCK_SAMPLES + 1, BLOCK_SAMPLES)
        voiced: int = sum(
            self._engine.is_speech(self._bytes[2 * start : 2 * (start + BLOCK_SAMPLES)], SAMPLE_RATE)
            for start in starts
        )
        end = len(starts) * BLOCK_SAMPLES
        self._rest = filled - end
        self._samples[: self._rest] = self._samples[end:filled]
        return voiced / len(starts)

    def reset(self) -> None:
        """Forget everything heard."""
        self._engine = webrtcvad.Vad(self._aggressiveness)
        self._samples.fill(0)
        self._rest = 0
