"""Brokers for the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.mqtt import Listener, Mosquitto, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def broker(mosquitto: str, tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that runs, without passwords or encryption."""
    with Mosquitto(mosquitto, tmp_path) as running:
        yield running


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Listener]:
    """A client that hears everything on that broker."""
    with Listener(broker.port) as connected:
        yield connected


@pytest.fixture
def unused_port() -> int:
    """A port where nobody listens."""
    return free_port()
