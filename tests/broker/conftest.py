"""Ports for the tests of this folder."""

from __future__ import annotations

import pytest
from support.mqtt import free_port


@pytest.fixture
def unused_port() -> int:
    """A port where nobody listens."""
    return free_port()
