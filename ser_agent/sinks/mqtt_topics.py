"""Topics and payloads: what other programs see of the agent. They are an API, frozen by a contract test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ser_agent.messages import AgentInfo, AgentStats, EmotionEvent

ONLINE = b"online"
OFFLINE = b"offline"
NO_EMOTION = "none"
RANKS = 3
"""How many emotions the state tells."""


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


def _as_json(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _on_off(value: bool) -> bytes:  # noqa: FBT001 - a plain conversion
    return b"ON" if value else b"OFF"


class Topics:
    """Renders messages for one site, so that two sites never share a topic."""

    def __init__(self, base_topic: str, site: str) -> None:
        """Prefix all topics with ``base_topic/site``."""
        self._root = f"{base_topic}/{site}"

    def availability(self, *, online: bool) -> Publication:
        """Whether the agent is up; also the last will and the birth message."""
        return Publication(f"{self._root}/availability", ONLINE if online else OFFLINE, qos=1, retain=True)

    def event(self, event: EmotionEvent) -> Publication:
        """An event of schema 1, plus ``event_type``, which Home Assistant's event entity needs."""
        fields = event.model_dump(mode="json", by_alias=True)
        return Publication(
            f"{self._root}/event", _as_json({**fields, "event_type": event.emotion}), qos=1, retain=False
        )

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
        return Publication(f"{self._root}/emotion", _as_json(fields), qos=1, retain=True)

    def speech(self, *, speaking: bool) -> Publication:
        """Whether somebody speaks."""
        return Publication(f"{self._root}/speech", _on_off(speaking), qos=0, retain=True)

    def microphone(self, *, connected: bool) -> Publication:
        """Whether frames really arrive."""
        return Publication(f"{self._root}/microphone", _on_off(connected), qos=1, retain=True)

    def stats(self, stats: AgentStats) -> Publication:
        """How the agent is doing."""
        return Publication(f"{self._root}/stats", _as_json(stats.model_dump(mode="json")), qos=0, retain=False)

    def info(self, info: AgentInfo) -> Publication:
        """What is running."""
        fields = info.model_dump(mode="json", by_alias=True)
        return Publication(f"{self._root}/info", _as_json(fields), qos=1, retain=True)
