"""How many processor threads a model may take."""

from __future__ import annotations

import os


def default_threads() -> int:
    """Half of the cores that this process may use, at most two: the rest of the home has work, too."""
    return max(1, min(2, len(os.sched_getaffinity(0)) // 2))
