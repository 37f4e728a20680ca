"""Messages for tests of what comes after the classifier."""

from __future__ import annotations

from datetime import UTC, datetime

from ser_agent.messages import AgentInfo, AgentStats, EmotionEvent, EmotionScore


def an_event(
    number: int = 0, *, emotion: str = "happy", confidence: float = 0.87, site: str = "test"
) -> EmotionEvent:
    """An event whose ``id`` and place tell its number."""
    return EmotionEvent(
        id=f"{number:026d}",
        agent=site,
        started_at=datetime(2026, 11, 24, 8, 30, 12, 480_000, tzinfo=UTC),
        offset_s=float(number),
        duration_s=2.31,
        emotion=emotion,
        confidence=confidence,
        emotions=(
            EmotionScore(label="happy", score=confidence),
            EmotionScore(label="neutral", score=0.08),
            EmotionScore(label="surprise", score=0.05),
        ),
        end_reason="silence",
        level_dbfs=-23.1,
        source="microphone",
        model="embedded@1",
        latency_ms=141,
    )


def some_info() -> AgentInfo:
    """What an agent says of itself at its start."""
    return AgentInfo(
        version="0.1.0",
        site="test",
        model="embedded@1",
        model_licence="MIT",
        labels=("angry", "happy"),
        languages=("en",),
        config_digest="0" * 64,
        instance="01JDEC0DE",
    )


def some_stats(uptime_s: float = 60.0) -> AgentStats:
    """What an agent says of its doings now and then."""
    return AgentStats(
        uptime_s=uptime_s,
        utterances=3,
        published=2,
        failed={},
        dropped={"too_short": 1},
        frames_dropped=0,
        lost_by_sink={"mqtt": 0},
        queues={"utterances": 0},
        latency_p50_ms=140,
        latency_p95_ms=200,
        real_time_factor=0.05,
        level_dbfs=-60.0,
        cpu_percent=2.0,
        rss_mb=120.0,
    )
