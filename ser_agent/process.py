"""What the process lets out: no core dumps, no look into its memory, nothing left in memory that it has freed."""

from __future__ import annotations

import contextlib
import ctypes
import resource

_PR_SET_DUMPABLE = 4
_M_PERTURB = -6
_OVERWRITTEN_WITH = 0x01


def confine() -> None:
    """Close the ways out of this process's memory, as far as the system has means for that.

    Freed memory is overwritten by the C library itself (``M_PERTURB`` of ``mallopt(3)``, glibc): that reaches
    numpy's arrays, Python's bytes and the model's tensors alike. Blocks under 1 KiB, which hold 30 ms of sound at
    most, may escape it until they are used again.
    """
    with contextlib.suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    library = ctypes.CDLL(None)
    # Against readers of /proc, debuggers, and crash handlers, which are handed a core whatever its limit.
    library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if hasattr(library, "mallopt"):
        library.mallopt(_M_PERTURB, _OVERWRITTEN_WITH)
