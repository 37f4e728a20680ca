"""What is told of a recording: one record for each utterance, the same wherever it was classified."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from ser_agent.labels import UNCERTAIN
from ser_agent.messages import top_scores
from ser_agent.ports import distribution_of

if TYPE_CHECKING:
    from ser_agent.audio import Utterance
    from ser_agent.ports import Answer


class Score(TypedDict):
    """One emotion and its confidence, 0 to 1."""

    label: str
    score: float


class Record(TypedDict):
    """What ``ser-agent classify --jsonl`` says of one utterance.

    Attributes:
        file: the recording.
        start_s: where the utterance begins, in seconds from the recording's start.
        end_s: where it ends.
        emotion: the best label, ``uncertain``, or None where nobody spoke.
        confidence: of the best label, 0 to 1; None where nobody spoke.
        emotions: the best labels in falling order.
    """

    file: str
    start_s: float | None
    end_s: float | None
    emotion: str | None
    confidence: float | None
    emotions: list[Score]


class Row(Record):
    """A record of an archive, where each file has one at least.

    Attributes:
        error: why the file, or what follows in it, could not be heard; None where nothing was wrong. A row with an
            error has no times; nor has one of a file in which no utterance was found.
    """

    error: str | None


def record(file: str, utterance: Utterance, answer: Answer, threshold: float, top: int | None) -> Record:
    """Say how an utterance sounded.

    Args:
        file: the recording.
        utterance: a stretch of it.
        answer: the classifier's.
        threshold: the confidence under which the emotion is ``uncertain``.
        top: how many emotions to tell; None for all.
    """
    distribution = distribution_of(answer)
    scores = () if distribution is None else top_scores(distribution, top)
    emotion = (scores[0].label if scores[0].score >= threshold else UNCERTAIN) if scores else None
    return {
        "file": file,
        "start_s": round(utterance.start_s, 3),
        "end_s": round(utterance.end_s, 3),
        "emotion": emotion,
        "confidence": scores[0].score if scores else None,
        "emotions": [{"label": score.label, "score": score.score} for score in scores],
    }


def nothing(file: str, error: str | None = None) -> Row:
    """The row of a file in which no utterance was found, or that could not be heard."""
    return {
        "file": file,
        "start_s": None,
        "end_s": None,
        "emotion": None,
        "confidence": None,
        "emotions": [],
        "error": error,
    }


def as_row(told: Record) -> Row:
    """A record as a row of an archive."""
    return {**told, "error": None}


def as_record(row: Row) -> Record:
    """A row without what only archives have."""
    return {
        "file": row["file"],
        "start_s": row["start_s"],
        "end_s": row["end_s"],
        "emotion": row["emotion"],
        "confidence": row["confidence"],
        "emotions": row["emotions"],
    }
