"""A restart that was asked for over MQTT: with a supervisor, and without one."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agent import START_S
from support.mqtt import Listener, Mosquitto, wait_until

from ser_agent.errors import EX_RESTART

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.command_line import Command

pytestmark = pytest.mark.broker

CLIP = Path(__file__).resolve().parents[1] / "data" / "1076_ITH_DIS_XX.opus"


@pytest.fixture
def arguments(
    broker: Mosquitto, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, ...]]:
    """Those of an agent that is told to restart as soon as it is up."""
    monkeypatch.setattr("ser_agent.app.RESTART_LEAST_S", 0.0)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    config = {
        "source": {"type": "files", "paths": [str(CLIP)], "realtime": True, "loop": True},
        "vad": {"type": "energy"},
        "hard_mute": True,
        "sinks": [{"type": "mqtt", "port": broker.port}],
    }
    file = tmp_path / "agent.yaml"
    file.write_text(json.dumps(config))

    def restart() -> None:
        wait_until(lambda: listener.last("home/availability") == "online", "it is up", START_S)
        listener.say("ser-agent/home/request/restart", "{}")

    asking = threading.Thread(target=restart, daemon=True)
    asking.start()
    yield ("run", "--config", str(file), "--quiet")
    asking.join()
    wait_until(lambda: listener.last("home/availability") == "offline", "it says farewell")
    wait_until(lambda: listener.on("response/restart"), "it has answered")
    assert listener.on("response/restart")[0].fields["status"] == "ok"


@pytest.mark.model
def test_systemd_is_asked_to_start_it_again(
    ser_agent: Command, arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert ser_agent(*arguments).code == EX_RESTART


@pytest.mark.model
def test_without_a_supervisor_it_executes_itself_anew(
    ser_agent: Command,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Executed(Exception):  # noqa: N818 - not an error
        pass

    def execv(program: str, command: list[str]) -> None:
        raise Executed(program, command)

    monkeypatch.setattr(os, "execv", execv)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "-m", "ser_agent", *arguments])
    with caplog.at_level(logging.INFO):
        outcome = ser_agent(*arguments)
    assert "Executed" in outcome.err
    assert repr([sys.executable, "-X", "dev", "-m", "ser_agent", *arguments]) in outcome.err
