"""Ports, a hub and an agent for the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.hub import Hub
from support.mqtt import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.mqtt import Mosquitto


@pytest.fixture
def unused_port() -> int:
    """A port where nobody listens."""
    return free_port()


@pytest.fixture
def hub(broker: Mosquitto) -> Iterator[Hub]:
    """A stand-in for Home Assistant, which hears everything."""
    with Hub(broker.port, name="hub") as connected:
        yield connected


@pytest.fixture
def births_are_answered_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits five seconds for what comes after a birth."""
    monkeypatch.setattr("ser_agent.sinks.mqtt_inbox.BIRTH_DELAY_S", (0.05, 0.1))
