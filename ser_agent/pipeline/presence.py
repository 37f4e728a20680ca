"""Whether sound arrives and somebody speaks: at each satellite, and anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_agent.messages import MicrophoneState, SpeechState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.messages import AnyMessage


class Presence:
    """Tells what changes. In the listening stage's thread only."""

    def __init__(self, publish: Callable[[AnyMessage], None]) -> None:
        """Begin with nothing heard.

        Args:
            publish: tells everybody.
        """
        self._publish = publish
        self._heard: set[str | None] = set()
        self._speaking: set[str | None] = set()

    @property
    def heard_anywhere(self) -> bool:
        """Whether sound arrives from any site."""
        return bool(self._heard)

    def is_heard(self, site: str | None) -> bool:
        """Whether sound arrives from a site."""
        return site in self._heard

    def is_speaking(self, site: str | None) -> bool:
        """Whether somebody speaks at a site."""
        return site in self._speaking

    def sound(self, site: str | None, *, arrives: bool, lost: bool = False) -> None:
        """Sound arrives from a site, or ceases to.

        Args:
            site: which one; None: the agent's own.
            arrives: whether it does.
            lost: whether it ceased although nobody wanted that.
        """
        anywhere = self.heard_anywhere
        if not _changed(self._heard, site, wanted=arrives):
            return
        if site is not None:
            self._publish(MicrophoneState(connected=arrives, lost=lost, site=site))
        if self.heard_anywhere != anywhere:
            self._publish(MicrophoneState(connected=arrives, lost=lost))

    def speech(self, site: str | None, *, speaking: bool) -> None:
        """Somebody begins to speak at a site, or ceases to."""
        anywhere = bool(self._speaking)
        if not _changed(self._speaking, site, wanted=speaking):
            return
        if site is not None:
            self._publish(SpeechState(speaking=speaking, site=site))
        if bool(self._speaking) != anywhere:
            self._publish(SpeechState(speaking=speaking))


def _changed(sites: set[str | None], site: str | None, *, wanted: bool) -> bool:
    """Put a site into a set or take it out; whether that changes anything."""
    if (site in sites) == wanted:
        return False
    (sites.add if wanted else sites.discard)(site)
    return True
