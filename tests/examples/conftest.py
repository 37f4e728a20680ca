"""Programs that the examples are for. Tests that need one skip where it is absent."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str, variable: str) -> str:
    """A program's path: from an environment variable, or where the shell finds it."""
    path = os.environ.get(variable) or shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed, and {variable} does not say where it is (see examples/README.md)")
    return path


@pytest.fixture(scope="module")
def hass() -> str:
    """Home Assistant."""
    return program("hass", "HASS")


@pytest.fixture
def node_red() -> str:
    """Node-RED."""
    return program("node-red", "NODE_RED")


@pytest.fixture
def bash() -> str:
    """A shell that finds mosquitto_sub and jq."""
    for name in ("bash", "mosquitto_sub", "jq"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    return "bash"
