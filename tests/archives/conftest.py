"""The command line, with a home of its own and without a cluster's address around it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from support.command_line import Command, command_within

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


@pytest.fixture
def ser_agent(capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """The command, called within this process, whose logging is put back afterwards."""
    handlers, level = logging.root.handlers[:], logging.root.level
    yield command_within(capsys)
    logging.captureWarnings(capture=False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.getLogger("ser_agent").setLevel(logging.NOTSET)
