"""What the live page shows: the states of now, and the events of the last 24 hours, in bounded memory."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ser_agent.buffer import BoundedQueue
from ser_agent.messages import (
    AgentInfo,
    AnyMessage,
    Availability,
    EmotionEvent,
    ListeningState,
    MicrophoneState,
    SpeechState,
    ThresholdState,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Json: TypeAlias = dict[str, Any]
News: TypeAlias = tuple[str, Json]
"""What kind of news, and what it says."""

KEPT_S: Final = 24 * 3600.0
MOST_EVENTS: Final = 20_000
"""One every four seconds, day and night; of more, the oldest are forgotten."""
MOST_NEWS: Final = 64
"""A viewer that is so far behind gets a new snapshot instead."""


class Viewer:
    """One open page: news for it wait here, a bounded number."""

    def __init__(self) -> None:
        self.news: BoundedQueue[News] = BoundedQueue(MOST_NEWS)
        self.behind = True
        """Whether it needs a snapshot: it is new, or it did not keep up."""

    def tell(self, news: News) -> None:
        """Let it know, without ever waiting."""
        if self.news.put(news) is not None:
            self.behind = True


class Board:
    """The page's memory. Thread-safe."""

    def __init__(self, site: str, now: Callable[[], float] = time.time) -> None:
        """Begin with nothing heard.

        Args:
            site: of the agent.
            now: the wall clock, seconds since 1970.
        """
        self._site = site
        self._now = now
        self._lock = threading.Lock()
        self._events: deque[tuple[int, float, str, float, str]] = deque(maxlen=MOST_EVENTS)
        self._viewers: list[Viewer] = []
        self._last: Json | None = None
        self._info: Json = {}
        self._vitals: Json = {}
        self._state: Json = {
            "site": site,
            "online": False,
            "microphone": False,
            "lost": False,
            "speaking": False,
            "listening": None,
            "threshold": None,
        }

    def take(self, message: AnyMessage) -> None:
        """Remember what a message says, and tell every viewer; how single satellites are is left to others."""
        if getattr(message, "site", None) not in {None, self._site}:
            return
        match message:
            case EmotionEvent():
                self._take_event(message)
            case AgentInfo():
                self._info = message.model_dump(mode="json", by_alias=True)
                self._change({"labels": list(message.labels), "model": message.model, "version": message.version})
            case Availability(online=online):
                self._change({"online": online})
            case MicrophoneState(connected=connected, lost=lost):
                self._change({"microphone": connected, "lost": lost})
            case SpeechState(speaking=speaking):
                self._change({"speaking": speaking})
            case ListeningState(on=on):
                self._change({"listening": on})
            case ThresholdState(value=value):
                self._change({"threshold": value})

    def _take_event(self, event: EmotionEvent) -> None:
        ended_ms = round(1000 * (event.started_at.timestamp() + event.duration_s))
        record = event.model_dump(mode="json", by_alias=True) | {"ended_ms": ended_ms}
        with self._lock:
            self._last = record
            self._events.append((ended_ms, event.duration_s, event.emotion, event.confidence, event.agent))
            self._forget_the_old()
            self._tell(("event", record))

    def _forget_the_old(self) -> None:
        since_ms = 1000 * (self._now() - KEPT_S)
        while self._events and self._events[0][0] < since_ms:
            self._events.popleft()

    def _change(self, changes: Json) -> None:
        with self._lock:
            self._state |= changes
            self._tell(("state", changes))

    def tell_vitals(self, vitals: Json) -> None:
        """Tell every viewer how the agent is."""
        with self._lock:
            self._vitals = vitals
            self._tell(("vitals", vitals))

    def _tell(self, news: News) -> None:
        for viewer in self._viewers:
            viewer.tell(news)

    def snapshot(self) -> Json:
        """All that there is to show, as plain JSON values."""
        with self._lock:
            self._forget_the_old()
            return {
                "now_ms": round(1000 * self._now()),
                "state": dict(self._state),
                "info": self._info,
                "vitals": self._vitals,
                "last": self._last,
                "events": list(self._events),
            }

    def admit(self, viewer: Viewer) -> None:
        """Tell somebody from now on."""
        with self._lock:
            self._viewers.append(viewer)

    def dismiss(self, viewer: Viewer) -> None:
        """Tell somebody no longer."""
        with self._lock:
            self._viewers.remove(viewer)

    @property
    def watched(self) -> int:
        """How many look at the page."""
        with self._lock:
            return len(self._viewers)

    def close(self) -> None:
        """Let every viewer go."""
        with self._lock:
            for viewer in self._viewers:
                viewer.news.close()
