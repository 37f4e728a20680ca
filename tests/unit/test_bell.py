"""What wakes a thread that polls the network."""

from __future__ import annotations

import select

from ser_agent.bell import Bell


def rings(bell: Bell) -> bool:
    return bool(select.select([bell.out], [], [], 0.0)[0])


def test_it_rings_until_it_is_hushed() -> None:
    with Bell() as bell:
        assert not rings(bell)
        bell.ring()
        bell.ring()
        assert rings(bell)
        bell.hush()
        assert not rings(bell)
        bell.hush()


def test_it_never_waits_however_often_it_is_rung() -> None:
    with Bell() as bell:
        for _ in range(100_000):
            bell.ring()
        assert rings(bell)


def test_once_released_it_is_silent() -> None:
    bell = Bell()
    bell.close()
    bell.close()
    bell.ring()
    assert bell.out.fileno() == -1
