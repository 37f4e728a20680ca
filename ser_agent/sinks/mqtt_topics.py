"""Topics and payloads: what other programs see of the agent. They are an API, frozen by a contract test."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ser_agent.commands import Reply
    from ser_agent.messages import AgentInfo, AgentStats, EmotionEvent, PartialEmotion
    from ser_agent.mood import Mood

ONLINE = b"online"
OFFLINE = b"offline"
NO_EMOTION = "none"
RANKS = 3
"""How many emotions the state tells."""
DEFAULT_BASE: Final = "ser-agent"
STATES: Final = (
    "availability",
    "emotion",
    "speech",
    "microphone",
    "listen/state",
    "threshold/state",
    "mood",
    "info",
)
"""The topics that the broker keeps, behind base topic and site."""
LISTEN_SET: Final = "listen/set"
THRESHOLD_SET: Final = "threshold/set"
REQUESTS: Final = "request/"


@dataclass(frozen=True, slots=True)
class Publication:
    """One MQTT message.

    Attributes:
        topic: where it goes.
        payload: UTF-8 text.
        qos: 0, at most once; 1, at least once.
        retain: whether the broker keeps it for subscribers to come.
    """

    topic: str
    payload: bytes
    qos: Literal[0, 1]
    retain: bool


def as_json(fields: Mapping[str, object]) -> bytes:
    """Compact UTF-8."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def cleared(topic: str) -> Publication:
    """What makes the broker forget what it keeps on a topic."""
    return Publication(topic, b"", qos=1, retain=True)


def agent_id(base_topic: str, site: str) -> str:
    """The agent's name among all clients of a broker and all devices of a home: ``[a-zA-Z0-9_-]+``."""
    if base_topic == DEFAULT_BASE:
        return f"ser-agent-{site}"
    mark = hashlib.sha256(base_topic.encode()).hexdigest()[:8]
    return f"ser-agent-{mark}-{site}"


def _on_off(value: bool) -> bytes:  # noqa: FBT001 - a plain conversion
    return b"ON" if value else b"OFF"


class Topics:
    """Renders messages for one site, so that two sites never share a topic."""

    def __init__(self, base_topic: str, site: str) -> None:
        """Prefix all topics with ``base_topic/site``."""
        self.site = site
        self.agent_id = agent_id(base_topic, site)
        self._root = f"{base_topic}/{site}"

    def path(self, tail: str) -> str:
        """The whole topic of one of ours."""
        return f"{self._root}/{tail}"

    def tail(self, topic: str) -> str | None:
        """What stands behind base topic and site; None where the topic is not ours."""
        root, slash, tail = topic[: len(self._root)], topic[len(self._root) :][:1], topic[len(self._root) + 1 :]
        return tail if root == self._root and slash == "/" else None

    def availability(self, *, online: bool) -> Publication:
        """Whether the agent is up; also the last will and the birth message."""
        return Publication(f"{self._root}/availability", ONLINE if online else OFFLINE, qos=1, retain=True)

    def event(self, event: EmotionEvent) -> Publication:
        """An event of schema 1, plus ``event_type``, which Home Assistant's event entity needs."""
        fields = event.model_dump(mode="json", by_alias=True)
        return Publication(
            f"{self._root}/event", as_json({**fields, "event_type": event.emotion}), qos=1, retain=False
        )

    def partial(self, partial: PartialEmotion) -> Publication:
        """How an utterance sounds that goes on; by the time that somebody connects it is out of date."""
        return Publication(f"{self._root}/partial", as_json(partial.model_dump(mode="json")), qos=0, retain=False)

    def emotion(self, event: EmotionEvent | None) -> Publication:
        """The emotion of now and its two runners-up; ``none`` and nulls where there is no event."""
        scores = [] if event is None else [(score.label, score.score) for score in event.emotions[:RANKS]]
        ranked: list[tuple[str | None, float | None]] = [*scores, *[(None, None)] * (RANKS - len(scores))]
        (_, _), (second, second_confidence), (third, third_confidence) = ranked
        fields = {
            "emotion": NO_EMOTION if event is None else event.emotion,
            "confidence": None if event is None else event.confidence,
            "second": second,
            "second_confidence": second_confidence,
            "third": third,
            "third_confidence": third_confidence,
        }
        return Publication(f"{self._root}/emotion", as_json(fields), qos=1, retain=True)

    def mood(self, mood: Mood | None) -> Publication:
        """The emotion that prevailed over the last minutes; ``none`` where there was too little speech."""
        fields = {
            "mood": NO_EMOTION if mood is None else mood.label,
            "share": None if mood is None else round(mood.share, 2),
        }
        return Publication(f"{self._root}/mood", as_json(fields), qos=1, retain=True)

    def speech(self, *, speaking: bool) -> Publication:
        """Whether somebody speaks."""
        return Publication(f"{self._root}/speech", _on_off(speaking), qos=0, retain=True)

    def microphone(self, *, connected: bool) -> Publication:
        """Whether frames really arrive."""
        return Publication(f"{self._root}/microphone", _on_off(connected), qos=1, retain=True)

    def listening(self, *, on: bool) -> Publication:
        """Whether anybody wants sound."""
        return Publication(f"{self._root}/listen/state", _on_off(on), qos=1, retain=True)

    def threshold(self, value: float) -> Publication:
        """Under which confidence an emotion is ``uncertain``."""
        return Publication(f"{self._root}/threshold/state", f"{value:.4g}".encode(), qos=1, retain=True)

    def stats(self, stats: AgentStats) -> Publication:
        """How the agent is doing."""
        return Publication(f"{self._root}/stats", as_json(stats.model_dump(mode="json")), qos=0, retain=False)

    def info(self, info: AgentInfo) -> Publication:
        """What is running."""
        fields = info.model_dump(mode="json", by_alias=True)
        return Publication(f"{self._root}/info", as_json(fields), qos=1, retain=True)

    def response(self, command: str, reply: Reply, transaction: str | int | None) -> Publication:
        """What came of a command.

        Args:
            command: its name.
            reply: the outcome.
            transaction: what the one who asked called it, if anything.
        """
        fields = {
            "data": dict(reply.data),
            "status": "ok" if reply.error is None else "error",
            "error": reply.error,
            "transaction": transaction,
        }
        return Publication(f"{self._root}/response/{command}", as_json(fields), qos=1, retain=False)
