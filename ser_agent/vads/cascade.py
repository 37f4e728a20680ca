"""The default: WebRTC as the cheap gate, Silero confirms what passes it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ser_agent.options import VadOptions
from ser_agent.vads.silero import SileroOptions, SileroVad
from ser_agent.vads.webrtc import WebRtcOptions, WebRtcVad

if TYPE_CHECKING:
    from ser_agent.audio import Samples
    from ser_agent.ports import PluginContext

GATE_HOLD_HOPS = 16
"""The gate stays open for half a second after the last hop that WebRTC took for speech."""
LOOK_BACK_HOPS = 8
"""When the gate opens, Silero, being recurrent, first hears so many of the hops that it missed."""


class CascadeOptions(VadOptions):
    """Keys of the cascade; the threshold is Silero's."""

    type: Literal["cascade"] = "cascade"
    aggressiveness: int = Field(default=2, ge=0, le=3)
    """WebRTC's: 0 takes the most for speech, 3 the least."""


class CascadeVad:
    """WebRTC opens the gate, Silero confirms: Silero's accuracy, and next to no work in silence."""

    Options = CascadeOptions

    def __init__(self, options: CascadeOptions, context: PluginContext) -> None:
        self._gate = WebRtcVad(WebRtcOptions(aggressiveness=options.aggressiveness), context)
        self._silero = SileroVad(SileroOptions(), context)
        self._skipped: deque[Samples] = deque(maxlen=LOOK_BACK_HOPS)
        self._open_for = 0

    def probability(self, hop: Samples) -> float:
        """Silero's answer while the gate is open, else 0."""
        if self._gate.probability(hop) > 0.0:
            if self._open_for == 0:
                self._catch_up()
            self._open_for = GATE_HOLD_HOPS
        elif self._open_for > 0:
            self._open_for -= 1
        if self._open_for == 0:
            self._skipped.append(hop)
            return 0.0
        return self._silero.probability(hop)

    def reset(self) -> None:
        """Forget everything heard."""
        self._gate.reset()
        self._silero.reset()
        self._skipped.clear()
        self._open_for = 0

    def _catch_up(self) -> None:
        self._silero.reset()
        for skipped in self._skipped:
            self._silero.probability(skipped)
        self._skipped.clear()
