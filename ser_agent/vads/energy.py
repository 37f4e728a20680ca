"""Loudness over an adaptive noise floor. Knows nothing of speech; for quiet rooms, and as the baseline to beat."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ser_agent.audio import level_dbfs
from ser_agent.options import VadOptions

if TYPE_CHECKING:
    from ser_agent.audio import Samples
    from ser_agent.ports import PluginContext

FLOOR_HOPS = 94
"""The noise floor is the least smoothed level of the last three seconds (R. Martin, "Noise power spectral density
estimation based on optimal smoothing and minimum statistics", IEEE TSAP 9(5), 2001, in its simplest form)."""
SMOOTHING = 0.7
QUIETEST_FLOOR_DBFS = -65.0
SLOPE_PER_DB = 0.5


class EnergyOptions(VadOptions):
    """Keys of the energy detector."""

    type: Literal["energy"] = "energy"
    margin_db: float = Field(default=10.0, gt=0.0, le=60.0)
    """How far above the noise floor a hop has the probability 0.5."""


class EnergyVad:
    """Whatever is louder than the background: no judgement of its own."""

    Options = EnergyOptions

    def __init__(self, options: EnergyOptions, context: PluginContext) -> None:  # noqa: ARG002 - the port's signature
        self._margin_db = options.margin_db
        self._recent: deque[float] = deque(maxlen=FLOOR_HOPS)
        self._smooth: float | None = None

    def probability(self, hop: Samples) -> float:
        """Logistic function of the level above the floor."""
        level = level_dbfs(hop)
        self._smooth = level if self._smooth is None else SMOOTHING * self._smooth + (1 - SMOOTHING) * level
        self._recent.append(self._smooth)
        floor = max(QUIETEST_FLOOR_DBFS, min(self._recent))
        return 1.0 / (1.0 + math.exp(-SLOPE_PER_DB * (level - floor - self._margin_db)))

    def reset(self) -> None:
        """Forget everything heard."""
        self._recent.clear()
        self._smooth = None
