"""A satellite by hand and a worker, on a real mosquitto."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.asking import Asker, Working
from support.mqtt import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.mqtt import Mosquitto


@pytest.fixture(autouse=True)
def the_beginning_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine, a worker in this process says with what it begins before it begins."""
    monkeypatch.setattr("ser_agent.fleet.bench.BEGINNING_S", PATIENCE_S)


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
