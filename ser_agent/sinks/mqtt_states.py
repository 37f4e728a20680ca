"""States, of which only the latest value counts, and when the state of emotion falls back to ``none``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ser_agent.sinks.mqtt_topics import Publication


class StateBoard:
    """The latest publication on each topic, and which of them the broker has yet to be given.

    Not safe for use from several threads: its owner holds a lock.
    """

    def __init__(self) -> None:
        """Make an empty board."""
        self._latest: dict[str, Publication] = {}
        self._unsent: dict[str, None] = {}

    def put(self, publication: Publication, *, ahead: bool = False, again: bool = False) -> None:
        """Replace the topic's value, sent or not; a retained value that stands there already changes nothing.

        Args:
            publication: the value.
            ahead: whether it goes before all others, now and whenever everything is told anew.
            again: whether to tell also a value that stands there already: somebody may doubt it.
        """
        topic = publication.topic
        if publication.retain and not again and self._latest.get(topic) == publication:
            return
        if ahead:
            self._latest = {topic: publication, **self._latest}
            self._unsent = {topic: None, **self._unsent}
        self._latest[topic] = publication
        self._unsent[topic] = None

    def take(self) -> Publication | None:
        """The next value that has to be sent, in the order in which the topics changed; None where all are."""
        if not self._unsent:
            return None
        topic = next(iter(self._unsent))
        del self._unsent[topic]
        publication = self._latest[topic]
        if not (publication.retain and publication.payload):
            del self._latest[topic]  # nothing that the broker keeps
        return publication

    def reassert(self, topic: str | None = None) -> None:
        """Have a topic's value sent again, or, without a topic, all of them in the order of their first use."""
        if topic is None:
            self._unsent = dict.fromkeys(self._latest)
        elif topic in self._latest:
            self._unsent[topic] = None

    def withdraw(self, topic: str) -> None:
        """Do not send a topic's value any more, where the broker does not keep it either."""
        if topic in self._latest and not self._latest[topic].retain:
            del self._latest[topic]
            self._unsent.pop(topic, None)

    @property
    def unsent(self) -> int:
        """How many topics have a value that has yet to be sent."""
        return len(self._unsent)


class EmotionHold:
    """Tells when an emotion has been shown long enough: some time after the last event and the last speech.

    All times are monotonic seconds, given by the caller.
    """

    def __init__(self, hold_s: float) -> None:
        """Begin with nothing shown.

        Args:
            hold_s: how long an emotion outlives the last event and the last speech.
        """
        self._hold_s = hold_s
        self._showing = False
        self._speaking = False
        self._since_s = 0.0

    def heard(self, now_s: float) -> None:
        """An event came: its emotion is shown from now on."""
        self._showing = True
        self._since_s = now_s

    def speech(self, *, speaking: bool, now_s: float) -> None:
        """Somebody speaks, or nobody does; only a change moves the time."""
        if speaking != self._speaking:
            self._speaking = speaking
            self._since_s = now_s

    def remaining_s(self, now_s: float) -> float | None:
        """Seconds until the emotion falls back to ``none``; None where nothing is shown or somebody speaks."""
        if not self._showing or self._speaking:
            return None
        return max(0.0, self._since_s + self._hold_s - now_s)

    def expire(self, now_s: float) -> bool:
        """Whether the emotion's time is up. True once for each."""
        if self.remaining_s(now_s) != 0.0:
            return False
        self._showing = False
        return True
