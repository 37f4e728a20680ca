"""Programs that the examples are for. Tests that need one skip where it is absent."""

from __future__ import annotations

import os
import shutil

import pytest


def program(variable: str, name: str) -> str:
    """A program's path: from an environment variable, or where the shell finds it."""
    path = os.environ.get(variable) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (examples/README.md says how; {variable} may tell where it is)")
    return path


@pytest.fixture(scope="module")
def hass() -> str:
    """Home Assistant."""
    return program("HASS", "hass")


@pytest.fixture
def node_red() -> str:
    """Node-RED."""
    return program("NODE_RED", "node-red")


@pytest.fixture
def shell() -> str:
    """A shell that finds mosquitto_sub and jq."""
    for name in ("mosquitto_sub", "jq"):
        program(name.upper(), name)
    return program("SHELL_FOR_TESTS", "bash")
