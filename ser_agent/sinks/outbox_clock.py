"""How old an item is, whatever is done to the wall clock.

While the machine runs, age is counted by a clock that no step moves and that goes on in a suspend. Across a reboot
there is but the wall clock: what it said at the acceptance is known to be right as long as every step since then
was noted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NEVER_SET_BEFORE_S: Final = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""A wall clock that says less has not been set since the machine was switched on."""


def boot_s() -> float:
    """Seconds since the machine was switched on, with those that it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Which run of the machine this is; empty where the system does not tell."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class Reading(NamedTuple):
    """What the clocks of one run of the machine have to do with each other.

    Attributes:
        boot_id: which run.
        offset_s: wall clock minus the seconds since the machine was switched on.
    """

    boot_id: str
    offset_s: float


@dataclass(frozen=True, slots=True)
class Clocks:
    """The machine's clocks.

    Attributes:
        boot_id: which run of the machine this is.
        boot_s: seconds since it was switched on.
        wall_s: seconds since 1970, as far as the machine knows.
    """

    boot_id: str
    boot_s: Callable[[], float] = boot_s
    wall_s: Callable[[], float] = time.time

    def reading(self) -> Reading:
        """What they have to do with each other now."""
        return Reading(self.boot_id, self.wall_s() - self.boot_s())

    def translate(self, accepted_s: float, then: Reading | None) -> float:
        """When something was accepted, in seconds of this run of the machine; never later than now.

        Args:
            accepted_s: when it was accepted, in seconds of the run that ``then`` is of.
            then: the last reading of that run; None where it is not known: then it was accepted just now.
        """
        now_s = self.boot_s()
        if then is None:
            return now_s
        if then.boot_id and then.boot_id == self.boot_id:
            return min(accepted_s, now_s)
        accepted_wall_s = accepted_s + then.offset_s
        if accepted_wall_s < NEVER_SET_BEFORE_S:
            return now_s
        return now_s - max(0.0, self.wall_s() - accepted_wall_s)
