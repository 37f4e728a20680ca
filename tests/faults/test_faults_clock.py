"""The clock on the wall is put forward or back by an hour: only what tells the time of day follows it."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from support.faults import Spoken, balanced
from support.mqtt import wait_until
from support.rig import Rig

from ser_agent.agent import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR_S = 3600.0


@pytest.fixture
def wall() -> Iterator[SimpleNamespace]:
    """The clock of all of this process, moved by ``step_s``."""
    clock = SimpleNamespace(step_s=0.0)
    true = time.time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: true() + clock.step_s)
        patch.setattr(time, "time_ns", lambda: int((true() + clock.step_s) * 1e9))
        yield clock


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S], ids=["forward", "back"])
def test_durations_and_latencies_stay_and_started_at_follows(wall: SimpleNamespace, step_s: float) -> None:
    began = time.monotonic()
    source = Spoken(4)
    rig = Rig(source)
    agent = rig.agent()

    def between(played: int) -> None:
        wait_until(lambda: agent.books.published == played, "the utterance before is published", 60)
        wall.step_s = step_s if played == 2 else 0.0

    source.between = between
    assert agent.run() is Outcome.ENDED
    _, before, during, after = rig.record.events  # the first has no pre-roll
    assert before.duration_s == during.duration_s == after.duration_s
    for event, stepped_s in ((during, step_s), (after, 0.0)):
        apart_s = (event.started_at - before.started_at).total_seconds()
        # Without the step they are as far apart as their sound is in the file.
        assert apart_s - stepped_s == pytest.approx(event.offset_s - before.offset_s, abs=0.5)
        assert abs(event.latency_ms - before.latency_ms) < 600_000
    assert agent.stats().uptime_s <= time.monotonic() - began + 1
    assert balanced(agent.books)
