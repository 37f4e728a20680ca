"""Two agents with one site: noticing it, and deciding without a word who stays.

Each publishes on ``info`` who it is, an instance that sorts by the time of its start. Whoever finds somebody
else's there, after having told its own, knows that the other is alive. The elder stays, the younger stands back.
"""

from __future__ import annotations

import json
import logging
from enum import Enum, auto

log = logging.getLogger(__name__)

MOST_TOLD = 8
"""So many others are told of; more are somebody's game."""


class Verdict(Enum):
    """What to do about a message on ``info``."""

    NOTHING = auto()
    INSIST = auto()
    """A younger agent has written over our topics: tell all of them again."""
    STAND_BACK = auto()
    """An elder agent was here first."""


class Rivals:
    """Reads ``info``. In the courier's thread only."""

    def __init__(self, site: str) -> None:
        """Begin unknown.

        Args:
            site: that both claim.
        """
        self._site = site
        self._told_of: set[str] = set()
        self._elder: str | None = None
        self._gone: str | None = None
        self._ours: str | None = None
        self._told_before = False

    def introduce(self, info: bytes) -> None:
        """We have told who we are."""
        self._ours = instance_in(info)

    def begin_session(self) -> None:
        """What the broker keeps on ``info`` from now on was written after we had been there, if we had."""
        self._told_before = self._ours is not None

    def dismiss(self) -> None:
        """The elder that was found last does not answer: what the broker keeps of it means nothing any more."""
        self._gone = self._elder

    def judge(self, payload: bytes, *, retained: bool) -> Verdict:
        """What to do about a message on ``info``.

        Args:
            payload: as it came.
            retained: whether the broker had kept it from before this session: then it may be of somebody long
                gone, unless we have written over it in an earlier one.
        """
        theirs = instance_in(payload)
        if theirs is None or self._ours is None or theirs == self._ours:
            return Verdict.NOTHING
        if retained and (not self._told_before or theirs == self._gone):
            return Verdict.NOTHING
        elder = theirs < self._ours
        if elder:
            self._elder = theirs
        self._tell(theirs, elder=elder)
        return Verdict.STAND_BACK if elder else Verdict.INSIST

    def _tell(self, theirs: str, *, elder: bool) -> None:
        if theirs in self._told_of or len(self._told_of) >= MOST_TOLD:
            return
        self._told_of.add(theirs)
        if elder:
            log.error("another agent has the site %r and was here first: give this one another site", self._site)
        else:
            log.warning("another agent has come with the site %r: give it another one", self._site)


def instance_in(payload: bytes) -> str | None:
    """Whose ``info`` a payload is; None where it is no agent's."""
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    instance = fields.get("instance") if isinstance(fields, dict) else None
    return instance if isinstance(instance, str) and 0 < len(instance) <= 64 else None
