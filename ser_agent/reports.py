"""What an agent says of itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ser_agent.errors import SerAgentError
from ser_agent.messages import AgentInfo, AgentStats
from ser_agent.metrics import Metrics, resident_mb
from ser_agent.pipeline.deliver import DeliverStage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ser_agent.parts import Parts
    from ser_agent.pipeline.stage import Stage
    from ser_agent.ports import ModelInfo

log = logging.getLogger(__name__)


def describe(parts: Parts, model: ModelInfo, instance: str) -> AgentInfo:
    """What is running.

    Args:
        parts: of the agent.
        model: what its classifier has loaded.
        instance: unique to this run of the agent.
    """
    return AgentInfo(
        version=parts.version,
        site=parts.site,
        model=model.name,
        model_licence=model.licence,
        labels=model.labels,
        languages=model.languages,
        config_digest=parts.config_digest,
        instance=instance,
        recording=parts.recorder is not None,
        audio_sent_to=model.audio_sent_to,
    )


def fault_of(stage: str, error: BaseException) -> SerAgentError:
    """What a user is told of a stage that died; what nobody has foreseen goes to the log, traceback and all."""
    if isinstance(error, SerAgentError):
        return error
    log.error("stage %s died", stage, exc_info=error)
    return SerAgentError(f"stage {stage} died: {type(error).__name__}: {error}")


def measure(
    metrics: Metrics,
    queues: Mapping[str, int],
    stages: Sequence[Stage],
    source: Mapping[str, int] | None = None,
    classifier: Mapping[str, int] | None = None,
) -> AgentStats:
    """Counters since the start and gauges of now.

    Args:
        metrics: of the pipeline.
        queues: items that wait, by queue.
        stages: of the pipeline.
        source: what the source counts, if anything.
        classifier: likewise.
    """
    books = metrics.books()
    return AgentStats(
        uptime_s=round(metrics.uptime_s, 1),
        utterances=books.begun,
        published=books.published,
        failed=books.failed,
        dropped=books.dropped,
        frames_dropped=metrics.frames_dropped,
        source=dict(source or {}),
        classifier=dict(classifier or {}),
        lost_by_sink={stage.name: stage.lost for stage in stages if isinstance(stage, DeliverStage)},
        queues={**queues, **_outboxes(stages)},
        latency_p50_ms=metrics.latency_ms(0.5),
        latency_p95_ms=metrics.latency_ms(0.95),
        real_time_factor=metrics.real_time_factor(),
        level_dbfs=metrics.level_dbfs(),
        cpu_percent=metrics.cpu_percent(),
        rss_mb=resident_mb(),
    )


def _outboxes(stages: Sequence[Stage]) -> dict[str, int]:
    waiting = {stage.name: stage.waiting for stage in stages if isinstance(stage, DeliverStage)}
    return {f"{name} outbox": count for name, count in waiting.items() if count is not None}


def vitals(metrics: Metrics, stages: Sequence[Stage]) -> dict[str, object]:
    """What is asked for often: how loud it is, how quick, and what was lost.

    Args:
        metrics: of the pipeline.
        stages: of the pipeline.
    """
    books = metrics.books()
    return {
        "uptime_s": round(metrics.uptime_s, 1),
        "level_dbfs": metrics.level_dbfs(),
        "latency_p50_ms": metrics.latency_ms(0.5),
        "latency_p95_ms": metrics.latency_ms(0.95),
        "utterances": books.begun,
        "published": books.published,
        "failed": sum(books.failed.values()),
        "dropped": sum(books.dropped.values()),
        "frames_dropped": metrics.frames_dropped,
        "sinks": {
            stage.name: {"connected": stage.connected, "lost": stage.lost}
            for stage in stages
            if isinstance(stage, DeliverStage)
        },
    }
