"""What an agent says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_agent.messages import AgentInfo, AgentStats
from ser_agent.metrics import Metrics, resident_mb
from ser_agent.pipeline.deliver import DeliverStage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ser_agent.parts import Parts
    from ser_agent.pipeline.stage import Stage
    from ser_agent.ports import ModelInfo


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
    )


def measure(metrics: Metrics, queues: Mapping[str, int], stages: Sequence[Stage]) -> AgentStats:
    """Counters since the start and gauges of now.

    Args:
        metrics: of the pipeline.
        queues: items that wait, by queue.
        stages: of the pipeline.
    """
    books = metrics.books()
    return AgentStats(
        uptime_s=round(metrics.uptime_s, 1),
        utterances=books.begun,
        published=books.published,
        failed=books.failed,
        dropped=books.dropped,
        frames_dropped=metrics.frames_dropped,
        lost_by_sink={stage.name: stage.lost for stage in stages if isinstance(stage, DeliverStage)},
        queues=dict(queues),
        latency_p50_ms=metrics.latency_ms(0.5),
        latency_p95_ms=metrics.latency_ms(0.95),
        real_time_factor=metrics.real_time_factor(),
        level_dbfs=metrics.level_dbfs(),
        cpu_percent=metrics.cpu_percent(),
        rss_mb=resident_mb(),
    )
