from __future__ import annotations

from ser_agent.backoff import Backoff


def test_the_ceiling_doubles_up_to_its_bound() -> None:
    backoff = Backoff(10.0, first_s=1.0, draw=lambda: 1.0)
    assert [backoff.next_s() for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_waits_are_spread_from_zero_to_the_ceiling() -> None:
    draws = iter([0.0, 0.5, 0.25])
    backoff = Backoff(60.0, first_s=1.0, draw=lambda: next(draws))
    assert [backoff.next_s() for _ in range(3)] == [0.0, 1.0, 1.0]


def test_after_a_reset_it_starts_anew() -> None:
    backoff = Backoff(60.0, first_s=1.0, draw=lambda: 1.0)
    for _ in range(5):
        backoff.next_s()
    backoff.reset()
    assert backoff.next_s() == 1.0


def test_a_bound_under_the_first_ceiling_holds() -> None:
    assert Backoff(0.2, first_s=1.0, draw=lambda: 1.0).next_s() == 0.2
