"""What the broker is to show of the agent: the latest value of every state, and when one changes by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_agent.messages import (
    AgentInfo,
    AgentStats,
    AnyMessage,
    Availability,
    EmotionEvent,
    ListeningState,
    MicrophoneState,
    PartialEmotion,
    SpeechState,
    ThresholdState,
)
from ser_agent.mood import MoodTracker
from ser_agent.sinks.mqtt_states import EmotionHold, StateBoard
from ser_agent.sinks.mqtt_topics import STATES

if TYPE_CHECKING:
    from ser_agent.sinks.homeassistant import Discovery
    from ser_agent.sinks.mqtt_topics import Publication, Topics


class Display:
    """Turns messages into states on a board. All times are monotonic seconds, given by the caller.

    Not safe for use from several threads: its owner holds a lock.
    """

    def __init__(
        self,
        topics: Topics,
        discovery: Discovery | None,
        *,
        hold_s: float,
        mood_s: float,
        board: StateBoard | None = None,
    ) -> None:
        """Begin offline, deaf, and with neither emotion nor mood: what an earlier life left is out of date.

        Args:
            topics: renders states.
            discovery: makes the message for Home Assistant; None for none.
            hold_s: how long an emotion outlives the last event and the last speech, seconds.
            mood_s: time constant of the mood, seconds.
            board: that of the agent, for the display of a satellite; None for one of its own.
        """
        self._is_satellite = board is not None
        self.board = board or StateBoard()
        self.online = False
        self._topics = topics
        self._discovery = discovery
        self._hold = EmotionHold(hold_s)
        self._mood = MoodTracker(mood_s)
        self._has_mood = False
        self.board.put(topics.availability(online=False))
        self.board.put(topics.emotion(None))
        self.board.put(topics.mood(None))
        self.board.put(topics.speech(speaking=False))
        self.board.put(topics.microphone(connected=False))

    def show(self, message: AnyMessage, now_s: float) -> None:
        """Show what a message changes. A kind that has no state is passed over."""
        match message:
            case EmotionEvent():
                self._show_event(message, now_s)
            case PartialEmotion():
                self.board.put(self._topics.partial(message))
            case Availability(online=online):
                self.set_online(online=online)
            case SpeechState(speaking=speaking):
                self._hold.speech(speaking=speaking, now_s=now_s)
                self.board.put(self._topics.speech(speaking=speaking))
            case MicrophoneState(connected=connected):
                if not connected:
                    self._hold.speech(speaking=False, now_s=now_s)
                self.board.put(self._topics.microphone(connected=connected))
            case ListeningState(on=on):
                self.board.put(self._topics.listening(on=on), again=True)
            case ThresholdState(value=value):
                self.board.put(self._topics.threshold(value), again=True)
            case AgentInfo() | AgentStats():
                self._show_report(message)

    def _show_report(self, report: AgentInfo | AgentStats) -> None:
        if isinstance(report, AgentStats):
            self.board.put(self._topics.stats(report))
            return
        if self._discovery is not None:
            self.board.put(self._discovery.message(report), ahead=not self._is_satellite)
        if not self._is_satellite:
            self.board.put(self._topics.info(report))

    def event(self, event: EmotionEvent) -> Publication:
        """An event on its topic."""
        return self._topics.event(event)

    @property
    def kept_topics(self) -> list[str]:
        """Topics that the broker may keep something on."""
        discovery = [] if self._discovery is None else [self._discovery.topic]
        return [*discovery, *(self._topics.path(tail) for tail in STATES)]

    def set_online(self, *, online: bool) -> None:
        """Say whether the agent is up."""
        self.online = online
        self.board.put(self._topics.availability(online=online))

    def insist_on_availability(self) -> None:
        """Tell it again: somebody else has said something else."""
        self.board.reassert(self._topics.path("availability"))

    def _show_event(self, event: EmotionEvent, now_s: float) -> None:
        self._hold.heard(now_s)
        self.board.withdraw(self._topics.path("partial"))
        self.board.put(self._topics.emotion(event))
        self._mood.hear(event.emotions, event.duration_s, now_s)
        self._show_mood(now_s)

    def _show_mood(self, now_s: float) -> None:
        mood = self._mood.mood(now_s)
        self._has_mood = mood is not None
        self.board.put(self._topics.mood(mood))

    def expire(self, now_s: float) -> None:
        """Let go what has been shown long enough."""
        if self._hold.expire(now_s):
            self.board.put(self._topics.emotion(None))
        if self._has_mood and self._mood.remaining_s(now_s) is None:
            self._show_mood(now_s)

    def remaining_s(self, now_s: float) -> float | None:
        """Seconds until something expires; None where nothing will."""
        waits = (self._hold.remaining_s(now_s), self._mood.remaining_s(now_s) if self._has_mood else None)
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)
