"""``kill -9`` at random moments loses no event that an outbox on disk has accepted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "kills",
    [40, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
    ids=["some dozens", "a thousand"],
)
def test_killed_at_random_moments_it_loses_nothing_that_it_has_accepted(tmp_path: Path, kills: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "support.outbox_killing", str(tmp_path), str(kills), "20261127"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(told)
    assert told["lost"] == []
    assert told["kills"] == kills
    assert told["accepted"] >= kills, "there was time to accept something"
