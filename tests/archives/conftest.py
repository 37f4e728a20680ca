"""The command line, with a home of its own and without a cluster's address around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.command_line import ser_agent

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ser_agent"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a configuration; nothing of Ray in the environment."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
    for name in ("RAY_ADDRESS", "FORCE_COLOR", "TTY_COMPATIBLE", "JOURNAL_STREAM"):
        monkeypatch.delenv(name, raising=False)
    return folder
