"""The parts around a daemon under test: a virtual microphone and a broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.mqtt import Listener, Mosquitto
from support.pulse import pulse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["broker", "listener", "pulse"]


@pytest.fixture
def broker(mosquitto: str, tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that runs."""
    with Mosquitto(mosquitto, tmp_path) as running:
        yield running


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Listener]:
    """A client that hears everything on that broker."""
    with Listener(broker.port) as connected:
        yield connected
