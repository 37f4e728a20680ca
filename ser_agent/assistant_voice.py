"""When the assistant itself spoke: what is heard meanwhile is no person. Pure but for a lock: no clock, no I/O."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ser_agent.audio import Utterance

log = logging.getLogger(__name__)

MOST_REMEMBERED = 64
"""Stretches of speech that are remembered: more than can be spoken while one utterance lasts and waits."""


@dataclass(frozen=True, slots=True)
class Speaking:
    """The assistant begins to speak, or ceases to.

    Attributes:
        on: which of the two.
        at_s: when, monotonic, seconds.
        sites: slugs of the sites that hear it; None: all.
    """

    on: bool
    at_s: float
    sites: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class _Stretch:
    began_s: float
    ended_s: float
    sites: frozenset[str] | None


class AssistantVoice:
    """Remembers when the assistant spoke. An end that was lost does not deafen for ever."""

    def __init__(self, timeout_s: float = 60.0, tail_s: float = 0.2) -> None:
        """Begin with silence.

        Args:
            timeout_s: nobody speaks for longer than that: then the end was lost.
            tail_s: how long the room goes on sounding.
        """
        self._timeout_s = timeout_s
        self._tail_s = tail_s
        self._lock = threading.Lock()
        self._began_s: dict[frozenset[str] | None, float] = {}
        self._stretches: deque[_Stretch] = deque(maxlen=MOST_REMEMBERED)

    def heed(self, speaking: Speaking) -> None:
        """Take note; from any thread."""
        with self._lock:
            if speaking.on:
                self._began_s.setdefault(speaking.sites, speaking.at_s)
                if self._is_over(self._began_s[speaking.sites], speaking.at_s):
                    self._end(speaking.sites, speaking.at_s)
                    self._began_s[speaking.sites] = speaking.at_s
                while len(self._began_s) > MOST_REMEMBERED:
                    self._end(next(iter(self._began_s)), speaking.at_s)
            else:
                self._end(speaking.sites, speaking.at_s)

    def heard_in(self, utterance: Utterance) -> bool:
        """Whether the assistant spoke during some of an utterance, where that was heard."""
        begins_s = utterance.captured_at
        ends_s = begins_s + utterance.duration_s
        with self._lock:
            stretches = [*self._stretches, *(self._open(sites, began) for sites, began in self._began_s.items())]
        return any(
            stretch.began_s < ends_s
            and begins_s < stretch.ended_s + self._tail_s
            and (stretch.sites is None or utterance.site is None or utterance.site in stretch.sites)
            for stretch in stretches
        )

    def _is_over(self, began_s: float, now_s: float) -> bool:
        return now_s - began_s > self._timeout_s

    def _open(self, sites: frozenset[str] | None, began_s: float) -> _Stretch:
        return _Stretch(began_s, began_s + self._timeout_s, sites)

    def _end(self, sites: frozenset[str] | None, at_s: float) -> None:
        began_s = self._began_s.pop(sites, None)
        if began_s is None:
            return
        if self._is_over(began_s, at_s):
            log.warning("the assistant did not say that it had ceased to speak: taken for %g s", self._timeout_s)
        self._stretches.append(_Stretch(began_s, min(at_s, began_s + self._timeout_s), sites))
