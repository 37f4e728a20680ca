"""The simulated fleet against what queueing theory says of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("simpy")

from benchmarks.fleet_simulation import Fleet, simulate, workers_needed

FLEET = Fleet(
    rooms=1000,
    per_hour=60.0,
    workers=1,
    lengths_s=(3.0,),
    service_s=0.01,
    service_per_s=0.01,
    broker_s=0.0,
    dealing="one queue",
)


def at_load(load: float, fleet: Fleet = FLEET) -> Fleet:
    """The fleet with so many rooms that the workers have that much to do."""
    rooms = round(load * fleet.workers / fleet.mean_service_s * 3600 / fleet.per_hour)
    return replace(fleet, rooms=rooms)


@pytest.mark.parametrize("load", [0.4, 0.75])
def test_one_worker_keeps_them_waiting_as_pollaczek_and_khinchine_say(load: float) -> None:
    fleet = at_load(load)
    outcome = simulate(fleet, seconds=1500.0)
    expected_s = fleet.load * fleet.mean_service_s / (2 * (1 - fleet.load))
    assert float(np.mean(outcome.waits_s)) == pytest.approx(expected_s, rel=0.1)


def test_lengths_that_differ_make_them_wait_longer() -> None:
    fleet = at_load(0.7, replace(FLEET, lengths_s=(1.0, 5.0)))
    service_s = np.array([0.02, 0.06])
    outcome = simulate(fleet, seconds=1500.0)
    expected_s = fleet.asked_per_s * float(np.mean(service_s**2)) / (2 * (1 - fleet.load))
    assert float(np.mean(outcome.waits_s)) == pytest.approx(expected_s, rel=0.1)


def test_twice_as_much_as_can_be_done_sheds_half_and_the_rest_is_answered_in_time() -> None:
    fleet = at_load(2.0, replace(FLEET, expires_s=1.0))
    outcome = simulate(fleet, seconds=200.0, settle_s=5.0)
    assert outcome.shed_share == pytest.approx(0.5, abs=0.02)
    assert outcome.answered == pytest.approx(200.0 / fleet.mean_service_s, rel=0.02)
    assert outcome.latency_s(1.0) <= fleet.expires_s + fleet.mean_service_s + 1e-9


def test_lengths_that_differ_make_dealing_in_turn_worse_than_one_queue_for_all() -> None:
    fleet = at_load(0.8, replace(FLEET, workers=4, lengths_s=(1.0, 8.0)))
    one_queue = simulate(fleet, seconds=60.0)
    in_turn = simulate(replace(fleet, dealing="in turn"), seconds=60.0)
    assert in_turn.wait_s(0.95) > one_queue.wait_s(0.95)


def test_the_way_over_the_broker_is_added_twice() -> None:
    near, far = simulate(FLEET, seconds=50.0), simulate(replace(FLEET, broker_s=0.05), seconds=50.0)
    assert far.latency_s(0.0) - near.latency_s(0.0) == pytest.approx(0.1)


def test_as_many_workers_are_needed_as_there_is_work_and_a_little_room() -> None:
    fleet = at_load(5.0)
    needed = workers_needed(fleet, seconds=60.0)
    assert 5 / 0.8 <= needed <= 9
    assert workers_needed(replace(fleet, dealing="in turn"), seconds=60.0) >= needed


def test_too_few_workers_are_said_to_be_too_few() -> None:
    with pytest.raises(ValueError, match="3 workers are not enough for"):
        workers_needed(at_load(5.0), seconds=20.0, most=3)


@settings(max_examples=10, deadline=None)
@given(
    load=st.floats(0.1, 4.0),
    workers=st.integers(1, 5),
    dealing=st.sampled_from(["in turn", "one queue"]),
    seed=st.integers(0, 2**32 - 1),
    settle_s=st.sampled_from([0.0, 2.0]),
)
def test_every_utterance_is_answered_shed_or_open(
    load: float, workers: int, dealing: str, seed: int, settle_s: float
) -> None:
    fleet = at_load(load, replace(FLEET, workers=workers, dealing=dealing, expires_s=0.5))  # type: ignore[arg-type]
    outcome = simulate(fleet, seconds=8.0, seed=seed, settle_s=settle_s)
    assert outcome.asked == outcome.answered + outcome.shed + outcome.open
    assert outcome.open >= 0
    assert all(wait_s >= 0 for wait_s in outcome.waits_s)
