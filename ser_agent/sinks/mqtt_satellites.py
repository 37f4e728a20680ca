"""What the broker is to show of the agent, and of each satellite that it hears for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ser_agent.messages import (
    AgentInfo,
    AnyMessage,
    Availability,
    EmotionEvent,
    MicrophoneState,
    PartialEmotion,
    SiteForgotten,
    SpeechState,
)
from ser_agent.sinks.mqtt_topics import cleared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ser_agent.sinks.mqtt_display import Display
    from ser_agent.sinks.mqtt_states import StateBoard
    from ser_agent.sinks.mqtt_topics import Publication
    from ser_agent.state import StateFile

MOST: Final = 128
"""Satellites that are shown at most; for one more, the first is forgotten."""


class SatelliteMemory:
    """Remembers, for one broker and base topic, whose states are kept there, so that none is left for ever."""

    def __init__(self, state: StateFile, broker: str, base_topic: str) -> None:
        """Prepare.

        Args:
            state: what outlives the process.
            broker: host and port.
            base_topic: first part of all topics.
        """
        self._state = state
        self._section = f"satellites {broker}/{base_topic}"

    def recall(self) -> list[str]:
        """The sites of earlier lives."""
        sites: Any = self._state.read(self._section).get("sites")
        return [site for site in sites if isinstance(site, str)][:MOST] if isinstance(sites, list) else []

    def keep(self, sites: list[str]) -> None:
        """These are the sites from now on."""
        self._state.write(self._section, {"sites": sites})


class Household:
    """The displays of the agent and of its satellites, with one board for all.

    A satellite appears when it is first heard, and, being unheard, when one of an earlier life is remembered. Not
    safe for use from several threads: its owner holds a lock.
    """

    def __init__(self, own: Display, make: Callable[[str, StateBoard], Display], memory: SatelliteMemory) -> None:
        """Show those that are remembered as offline.

        Args:
            own: the agent's display.
            make: a satellite's display on a board.
            memory: of satellites.
        """
        self._own = own
        self._make = make
        self._memory = memory
        self._info: AgentInfo | None = None
        self.board = own.board
        self._satellites = {site: make(site, self.board) for site in memory.recall()}

    @property
    def online(self) -> bool:
        """Whether the agent is up."""
        return self._own.online

    def show(self, message: AnyMessage, now_s: float) -> None:
        """Show what a message changes, at the site that it is about."""
        match message:
            case EmotionEvent() | PartialEmotion():
                self._of(message).show(message, now_s)
            case Availability(site=str(site)) | SpeechState(site=str(site)) | MicrophoneState(site=str(site)):
                self._satellite(site).show(message, now_s)
            case SiteForgotten(site=site):
                self._forget(site)
            case AgentInfo():
                self._info = message
                for display in self._all():
                    display.show(message, now_s)
            case _:
                self._own.show(message, now_s)

    def event(self, event: EmotionEvent) -> Publication:
        """An event on the topic of its site."""
        return self._of(event).event(event)

    def set_online(self, *, online: bool) -> None:
        """Say whether the agent is up; when it goes, its satellites go with it."""
        self._own.set_online(online=online)
        for display in () if online else self._satellites.values():
            display.set_online(online=False)

    def insist_on_availability(self) -> None:
        """Tell it again: somebody else has said something else."""
        self._own.insist_on_availability()

    def expire(self, now_s: float) -> None:
        """Let go what has been shown long enough."""
        for display in self._all():
            display.expire(now_s)

    def remaining_s(self, now_s: float) -> float | None:
        """Seconds until something expires; None where nothing will."""
        waits = (display.remaining_s(now_s) for display in self._all())
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    def _all(self) -> Iterator[Display]:
        yield self._own
        yield from self._satellites.values()

    def _of(self, event: EmotionEvent | PartialEmotion) -> Display:
        return self._satellites.get(event.agent, self._own)

    def _satellite(self, site: str) -> Display:
        if site not in self._satellites:
            while len(self._satellites) >= MOST:
                self._forget(next(iter(self._satellites)))
            self._satellites[site] = display = self._make(site, self.board)
            if self._info is not None:
                display.show(self._info, 0.0)
            self._memory.keep(list(self._satellites))
        return self._satellites[site]

    def _forget(self, site: str) -> None:
        display = self._satellites.pop(site, None)
        if display is None:
            return
        for topic in display.kept_topics:
            self.board.put(cleared(topic))
        self._memory.keep(list(self._satellites))
