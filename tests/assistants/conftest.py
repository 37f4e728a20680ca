"""A loop for what is asynchronous, and a speech-to-text server in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.wyoming import InLoop, SttServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def loop() -> Iterator[InLoop]:
    made = InLoop()
    yield made
    made.close()


@pytest.fixture
def server(loop: InLoop) -> Iterator[SttServer]:
    with SttServer(loop) as running:
        yield running
