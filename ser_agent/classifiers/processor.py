"""What the processor can do for a model."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
LARGEST_INT8 = 127
LARGEST_UNSATURATED = 63
"""Two products of it with a state of 8 bits still fit into 16 bits."""
_X86 = {"x86_64", "amd64", "i686"}


def default_threads() -> int:
    """Half of the cores that this process may use, at most two: the rest of the home has work, too."""
    return max(1, min(2, len(os.sched_getaffinity(0)) // 2))


def largest_weight(machine: str | None = None, cpuinfo: Path = CPUINFO) -> int:
    """The largest weight of 8 bits whose products are added exactly.

    x86 without VNNI adds products in pairs of 16 bits, which overflow without a sign of it. There weights get
    a bit less.

    Args:
        machine: kind of the processor; by default this one's.
        cpuinfo: where Linux tells what it can do.
    """
    if (machine or platform.machine()).lower() not in _X86:
        return LARGEST_INT8
    try:
        return LARGEST_INT8 if "vnni" in cpuinfo.read_text(encoding="utf-8") else LARGEST_UNSATURATED
    except OSError:
        return LARGEST_UNSATURATED
