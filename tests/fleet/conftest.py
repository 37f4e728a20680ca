"""A satellite by hand and a worker, on a real mosquitto."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.asking import Asker, Working

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.mqtt import Mosquitto


@pytest.fixture
def asker(broker: Mosquitto) -> Iterator[Asker]:
    with Asker(broker.port) as asker:
        yield asker


@pytest.fixture
def working(broker: Mosquitto, asker: Asker, tmp_path: Path) -> Iterator[Working]:
    """A worker that is there, with a made-up classifier."""
    with Working(broker.port, tmp_path, batch=4) as working:
        asker.see_worker()
        yield working
