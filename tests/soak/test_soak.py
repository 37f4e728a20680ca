"""Hours in a household with every kind of trouble: every utterance accounted for, and nothing that grows.

They pass in a process of their own (``support.household``): what pytest keeps would be the leak that is found.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TESTS = Path(__file__).parents[1]
GROWTH_MB_AN_HOUR = 1.0
"""How much more memory may be resident an hour later, by a line through all weighings but the first sixth.
The allocator takes memory in steps of a few megabytes, at any time, and rests in between; what leaks grows."""
GROWTH_MB = 16.0
"""And in all: a few of the allocator's steps."""
GROWTH_OBJECTS = 500
"""How many more objects may be alive: one for every sixth utterance of the eight hours would be found. The queues
are now a little fuller, now a little emptier."""


def lived(hours: float, kind: str, limit_s: float) -> dict[str, Any]:
    """What became of an agent in so many hours with parts of a kind, ``fake`` or ``real``."""
    done = subprocess.run(
        [sys.executable, "-m", "support.household", str(hours), kind],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=limit_s,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    print(done.stdout)
    return told


def check_books(told: dict[str, Any]) -> None:
    """Every utterance and every message is accounted for, though all kinds of trouble were there."""
    failed, dropped, troubles, moods = told["failed"], told["dropped"], told["troubles"], told["moods"]
    assert told["outcome"] == "ENDED"
    assert told["open"] == 0
    assert told["begun"] == told["published"] + sum(failed.values()) + sum(dropped.values())
    assert set(failed) <= {"classifier", "invalid"}
    assert set(dropped) <= {"too_short", "non_speech"}
    # Utterances that wait together are classified together, and fail together where one of them makes it raise.
    assert failed["classifier"] >= moods["raised"] > 0
    assert failed.get("invalid", 0) <= moods["nonsense"]
    assert all(troubles.values())
    interrupted = troubles["losses"] + troubles["gaps"]
    assert told["begun"] - dropped["too_short"] >= troubles["clips"] - interrupted
    taken = told["taken"]
    assert taken["counting"]["EmotionEvent"] == told["published"]
    assert told["lost_by_sink"]["counting"] == 0
    assert told["lost_by_sink"]["moody"] == sum(taken["counting"].values()) - sum(taken["moody"].values()) > 0
    assert told["lost_by_sink"]["mqtt"] == told["published"]
    assert told["frames_dropped"] >= 20 * troubles["gaps"] * 0.5


def check_weights(told: dict[str, Any]) -> None:
    """Nothing has grown since the first sixth of the weighings."""
    weights = told["weights"]
    weights = weights[len(weights) // 6 :]
    rss_mb, objects, threads, descriptors = (
        [weight[name] for weight in weights] for name in ("rss_mb", "objects", "threads", "descriptors")
    )
    assert rss_mb[-1] - rss_mb[0] < GROWTH_MB, rss_mb
    assert objects[-1] - objects[0] < GROWTH_OBJECTS, objects
    assert max(threads[-3:]) <= max(threads[:3]), threads
    assert max(descriptors[-3:]) <= max(descriptors[:3]), descriptors


def mb_an_hour(told: dict[str, Any]) -> float:
    """Slope of a straight line through the weights but those of the first sixth."""
    weights = told["weights"][len(told["weights"]) // 6 :]
    slope, _ = np.polyfit([weight["hours"] for weight in weights], [weight["rss_mb"] for weight in weights], 1)
    return float(slope)


@pytest.mark.timeout(600)
def test_ten_minutes_with_every_kind_of_trouble_lose_no_utterance_and_no_memory() -> None:
    told = lived(1 / 6, "fake", limit_s=500)
    check_books(told)
    check_weights(told)


@pytest.mark.long
@pytest.mark.model
@pytest.mark.timeout(7200)
def test_eight_hours_with_the_everyday_parts_and_every_kind_of_trouble_lose_no_utterance_and_no_memory() -> None:
    told = lived(8, "real", limit_s=7000)
    check_books(told)
    check_weights(told)
    assert mb_an_hour(told) < GROWTH_MB_AN_HOUR, told["weights"]
    for name in ("cpu_s", "classification_p50_ms"):
        each = [weight[name] for weight in told["weights"][1:]]
        assert statistics.median(each[-8:]) <= 2 * statistics.median(each[:8]), (name, each)
