"""What may be changed while the pipeline runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Controls:
    """Set by the agent's main thread, looked at by the stages: single values, so no lock is needed.

    Attributes:
        listening: whether sound is wanted at all.
        min_confidence: the threshold under which an emotion is ``uncertain``, 0 to 1.
    """

    listening: bool
    min_confidence: float
