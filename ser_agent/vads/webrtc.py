"""The WebRTC project's detector: Gaussian mixtures over six bands, 2 µs each; most noises pass for speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import webrtcvad
from pydantic import Field

from ser_agent.audio import SAMPLE_RATE
from ser_agent.options import VadOptions

if TYPE_CHECKING:
    from ser_agent.audio import Samples
    from ser_agent.ports import PluginContext

BLOCK_BYTES = 2 * SAMPLE_RATE // 100
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
        self._rest = b""

    def probability(self, hop: Samples) -> float:
        """Part of the hop's blocks of 10 ms that are voiced; what is left over is judged with the next hop."""
        data = self._rest + hop.tobytes()
        end = len(data) - len(data) % BLOCK_BYTES
        blocks = range(0, end, BLOCK_BYTES)
        self._rest = data[end:]
        voiced: int = sum(
            self._engine.is_speech(data[start : start + BLOCK_BYTES], SAMPLE_RATE) for start in blocks
        )
        return voiced / len(blocks)

    def reset(self) -> None:
        """Forget everything heard."""
        self._engine = webrtcvad.Vad(self._aggressiveness)
        self._rest = b""
