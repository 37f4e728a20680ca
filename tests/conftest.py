"""Fixtures that all tests share: where the corpora are, and a bundled clip of real speech."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of speech, noise and rooms; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared" / "corpora"
    if not (folder / "manifest.csv").exists():
        pytest.skip("the corpora (../shared/corpora) are not here")
    return folder


@pytest.fixture(scope="session")
def mosquitto() -> str:
    """The broker's program; tests that need it skip where it is absent."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    return program
