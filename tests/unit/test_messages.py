from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from ser_agent.messages import EmotionEvent, make_event, top_scores
from ser_agent.testing import utterance

WHEN = datetime(2026, 11, 24, 8, 30, 12, 480_000, tzinfo=UTC)


def event(min_confidence: float = 0.0) -> EmotionEvent:
    scores = {"happy": 0.87, "neutral": 0.08, "surprise": 0.05}
    return make_event(
        utterance(2.31),
        scores,
        site="living-room",
        source="microphone",
        model="embedded@1",
        started_at=WHEN,
        latency_s=0.1412,
        min_confidence=min_confidence,
    )


def test_an_event_on_the_wire_is_schema_1() -> None:
    wire = json.loads(event().model_dump_json(by_alias=True))
    assert len(wire.pop("id")) == 26
    assert wire == {
        "schema": 1,
        "agent": "living-room",
        "started_at": "2026-11-24T08:30:12.480Z",
        "offset_s": 0.0,
        "duration_s": 2.31,
        "emotion": "happy",
        "confidence": 0.87,
        "emotions": [
            {"label": "happy", "score": 0.87},
            {"label": "neutral", "score": 0.08},
            {"label": "surprise", "score": 0.05},
        ],
        "end_reason": "silence",
        "level_dbfs": -13.5,
        "source": "microphone",
        "model": "embedded@1",
        "latency_ms": 141,
        "session_id": None,
    }


def test_ids_are_unique_and_sort_by_time() -> None:
    ids = [event().id for _ in range(50)]
    assert len(set(ids)) == 50
    assert ids[0][:8] <= ids[-1][:8]


def test_the_threshold_itself_is_certain_enough() -> None:
    assert event(min_confidence=0.87).emotion == "happy"
    assert event(min_confidence=0.88).emotion == "uncertain"


def test_the_best_come_first_and_equal_ones_by_name() -> None:
    ranked = top_scores({"sad": 0.4, "angry": 0.4, "fear": 0.2}, 2)
    assert [score.label for score in ranked] == ["angry", "sad"]
    assert len(top_scores({"sad": 0.4, "angry": 0.4, "fear": 0.2}, None)) == 3


def test_a_confidence_above_one_is_no_event() -> None:
    with pytest.raises(ValidationError):
        EmotionEvent.model_validate(event().model_dump(by_alias=True) | {"confidence": 1.5})
