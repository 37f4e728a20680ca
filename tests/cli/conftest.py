"""The command line as a user without any configuration has it, and the parts around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.command_line import ser_agent
from support.pulse import pulse
from support.third_party import install

from ser_agent.sources.devices import has_microphone

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["pulse", "ser_agent"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a configuration, for this process and its children; width and colours as in a pipe."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE", "JOURNAL_STREAM", "NOTIFY_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plugins of a third party, for the processes that a test starts."""
    install(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


@pytest.fixture
def no_microphone() -> None:
    """Tests of what happens without one skip on machines that have one."""
    if has_microphone():
        pytest.skip("this machine has a microphone")
