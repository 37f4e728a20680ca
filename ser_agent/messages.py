"""What the agent tells the world: emotion events (schema 1) and the states beside them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from ulid import ULID

from ser_agent.audio import EndReason, Utterance, level_dbfs
from ser_agent.labels import UNCERTAIN

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = 1
SUM_TOLERANCE = 1e-6


def _iso_utc(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


Score: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]
Timestamp: TypeAlias = Annotated[datetime, PlainSerializer(_iso_utc, return_type=str)]


class Message(BaseModel):
    """Base of all messages: frozen, and strict about what it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EmotionScore(Message):
    """One emotion and its calibrated confidence."""

    label: str
    """An emotion of the vocabulary, or a model's own label where those are kept."""
    score: Score
    """Confidence, 0 to 1."""


class EmotionEvent(Message):
    """One utterance and how it sounded: schema 1. Fields are only ever added within a schema number."""

    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    """Number of this schema."""
    id: str = Field(default_factory=lambda: str(ULID()))
    """Unique, and sorts by time of making (ULID)."""
    agent: str
    """The site: which agent, or which satellite of it, heard it."""
    started_at: Timestamp
    """When the utterance began, UTC."""
    offset_s: float
    """Where the utterance began, in seconds since the source opened."""
    duration_s: float
    """Length of the utterance in seconds."""
    emotion: str
    """The best label, or ``uncertain`` where its confidence is under the threshold."""
    confidence: Score
    """Confidence of the best label."""
    emotions: tuple[EmotionScore, ...]
    """The best labels in falling order, whatever the threshold."""
    end_reason: EndReason
    """Why the utterance ended where it did."""
    level_dbfs: float
    """Root-mean-square level, dB relative to full scale."""
    source: str
    """Kind of the source: ``microphone``, ``files`` …"""
    model: str
    """Name and revision of the model."""
    latency_ms: int = Field(ge=0)
    """From the sound that decided the utterance's end to this event."""
    session_id: str | None = None
    """The voice assistant's session in which it was said, where the source knows of one."""


class PartialEmotion(Message):
    """How an utterance sounds so far, while somebody still speaks. Its event comes later, and alone counts."""

    partial: Literal[True] = True
    agent: str
    """The site: which agent, or which satellite of it, hears it."""
    started_at: Timestamp
    """When the utterance began, UTC."""
    offset_s: float
    """Where the utterance began, in seconds since the source opened: its event says the same."""
    duration_s: float
    """Length so far in seconds."""
    emotion: str
    """The best label, or ``uncertain`` where its confidence is under the threshold."""
    confidence: Score
    """Confidence of the best label."""
    emotions: tuple[EmotionScore, ...]
    """The best labels in falling order, whatever the threshold."""
    model: str
    """Name and revision of the model."""
    latency_ms: int = Field(ge=0)
    """From the last sound that it is about to this message."""


class Availability(Message):
    """The agent is up (after the first frame), or about to stop; or a satellite is heard, or no longer."""

    online: bool
    site: str | None = None
    """Of which satellite; None: of the agent."""


class SiteForgotten(Message):
    """A satellite has been silent for so long that nothing of it is kept any more."""

    site: str


class SpeechState(Message):
    """Somebody began or ceased to speak."""

    speaking: bool
    site: str | None = None
    """At which satellite; None: anywhere."""


class MicrophoneState(Message):
    """Frames arrive from the source, or have ceased to."""

    connected: bool
    lost: bool = False
    """They ceased although the source had neither ended nor been closed."""
    site: str | None = None
    """From which satellite; None: from any."""


class ListeningState(Message):
    """Whether anybody wants sound: while not, the source is closed."""

    on: bool


class ThresholdState(Message):
    """The threshold for ``uncertain`` that is in force."""

    value: Score
    """Confidence, 0 to 1."""


class AgentInfo(Message):
    """What is running: sent once at start and after a reload."""

    version: str
    """Version of ser_agent."""
    site: str
    model: str
    """Name and revision of the model."""
    model_licence: str | None
    labels: tuple[str, ...]
    """Every label that an event can carry."""
    languages: tuple[str, ...]
    """Languages that the model was trained on, where known (ISO 639-1)."""
    schema_: Literal[1] = Field(default=SCHEMA, alias="schema")
    """Schema of the events."""
    config_digest: str
    """SHA-256 of the configuration without its secrets."""
    instance: str
    """Another one after every start and reload: tells two agents apart that have the same site by mistake."""
    recording: bool = False
    """Whether what is said is kept as files."""
    audio_sent_to: str | None = None
    """Host and port of the broker that the sound of every utterance is sent to, for workers to classify; null:
    sound does not leave this machine."""


class AgentStats(Message):
    """How the agent is doing: counters since the start, gauges of now."""

    uptime_s: float
    utterances: int
    """Utterances begun."""
    published: int
    failed: dict[str, int]
    """Utterances that could not be classified, by reason."""
    dropped: dict[str, int]
    """Utterances given up, by reason (``too_short``, ``overload`` …)."""
    frames_dropped: int
    """Frames lost between the device and the detector."""
    source: dict[str, int] = {}
    """What the source counts, by name: ``sites`` heard, ``garbage`` that was no sound …"""
    classifier: dict[str, int] = {}
    """What the classifier counts, by name: ``workers`` in sight, utterances ``asked`` about …"""
    lost_by_sink: dict[str, int]
    """Messages that a sink could not deliver."""
    queues: dict[str, int]
    """Items waiting, by queue."""
    latency_p50_ms: int | None
    latency_p95_ms: int | None
    real_time_factor: float | None
    """Seconds of classification for each second of speech."""
    level_dbfs: float | None
    """Level of the last second of sound."""
    cpu_percent: float
    """Of one core, since the last message of this kind."""
    rss_mb: float | None
    """Resident memory in MiB, where the system tells."""


AnyMessage: TypeAlias = (
    EmotionEvent
    | PartialEmotion
    | Availability
    | SiteForgotten
    | SpeechState
    | MicrophoneState
    | ListeningState
    | ThresholdState
    | AgentInfo
    | AgentStats
)


def top_scores(distribution: Mapping[str, float], count: int | None) -> tuple[EmotionScore, ...]:
    """Order a distribution, best first; equal scores keep the alphabet's order.

    Args:
        distribution: a probability for each label.
        count: how many to keep; None for all.
    """
    ranked = sorted(distribution.items(), key=lambda item: (-item[1], item[0]))[:count]
    return tuple(EmotionScore(label=label, score=round(score, 4)) for label, score in ranked)


def make_event(  # noqa: PLR0913 - an event has that many independent parts
    utterance: Utterance,
    distribution: Mapping[str, float],
    *,
    site: str,
    source: str,
    model: str,
    started_at: datetime,
    latency_s: float,
    top: int = 3,
    min_confidence: float = 0.0,
) -> EmotionEvent:
    """Compose the event of one classified utterance.

    Args:
        utterance: what was said.
        distribution: a probability for each label, summing to 1.
        site: which agent; an utterance that was heard elsewhere says so itself.
        source: kind of the source.
        model: name and revision of the model.
        started_at: when the utterance began; time-zone aware.
        latency_s: seconds from the utterance's end to now.
        top: how many labels the event tells.
        min_confidence: the threshold under which the emotion is ``uncertain``.
    """
    scores = top_scores(distribution, top)
    best = scores[0]
    return EmotionEvent(
        agent=site if utterance.site is None else utterance.site,
        started_at=started_at,
        offset_s=round(utterance.start_s, 3),
        duration_s=round(utterance.duration_s, 3),
        emotion=best.label if best.score >= min_confidence else UNCERTAIN,
        confidence=best.score,
        emotions=scores,
        end_reason=utterance.end_reason,
        level_dbfs=round(level_dbfs(utterance.samples), 1),
        source=source,
        model=model,
        latency_ms=max(0, round(latency_s * 1000)),
        session_id=utterance.session,
    )


def make_partial(event: EmotionEvent) -> PartialEmotion:
    """Compose what is told of an utterance that goes on, from the event that it would be now."""
    fields = {name: getattr(event, name) for name in PartialEmotion.model_fields if name != "partial"}
    return PartialEmotion(**fields)
