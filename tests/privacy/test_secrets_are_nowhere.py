"""Passwords are nowhere but where their owner put them: not in a log, a command line, a topic or what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.agent import AgentProcess, ser_agent
from support.mqtt import wait_until
from support.security import protected

from ser_agent.config import load
from ser_agent.errors import ConfigError

if TYPE_CHECKING:
    from support.mqtt import Listener, Mosquitto

SECRETS = ("correct horse battery staple", "wrong horse", "page-of-secrets")
CLIP = Path(__file__).parents[1] / "data" / "1066_IOM_NEU_XX.opus"
PATIENCE_S = 60.0


def secrets_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


@pytest.mark.broker
@pytest.mark.timeout(300)
def test_a_running_agent_tells_its_passwords_to_nobody_but_the_broker(
    broker: Mosquitto, listener: Listener, mosquitto: str, tmp_path: Path
) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    with protected(mosquitto, tmp_path, SECRETS[0]) as guarded:
        keys: dict[str, Any] = {"type": "mqtt", "port": guarded.port, "username": "agent", "retry_max_s": 0.5}
        right = keys | {"password": SECRETS[0]}
        wrong = keys | {"password": SECRETS[1], "client_id": "another", "base_topic": "other"}
        source = {"type": "files", "paths": [str(CLIP)], "realtime": True, "loop": True}
        config = {"source": source, "sinks": [{"type": "mqtt", "port": broker.port}, right, wrong]}
        with AgentProcess(folder, config | {"log": {"level": "debug"}}) as agent:
            wait_until(lambda: listener.last("/availability") == "online", "it is up", PATIENCE_S)
            wait_until(
                lambda: "refuses user name 'agent'" in agent.log, "the wrong password is refused", PATIENCE_S
            )
            assert agent.process is not None
            proc = Path(f"/proc/{agent.process.pid}")
            assert not secrets_in((proc / "cmdline").read_text() + (proc / "comm").read_text())
            assert agent.stop() == 0
    assert not secrets_in("".join(heard.topic + heard.payload for heard in listener.heard))
    for path in folder.rglob("*"):
        if path.is_file() and path != agent.config:
            assert not secrets_in(path.read_bytes().decode(errors="replace")), path


@pytest.mark.parametrize("command", [("config", "show"), ("check",), ("check", "--live")])
def test_no_command_shows_a_password(tmp_path: Path, command: tuple[str, ...]) -> None:
    sinks = [{"type": "mqtt", "port": 1, "username": "agent", "password": SECRETS[0]}]
    file = tmp_path / "agent.yaml"
    file.write_text(f"source: {{type: files, paths: [{CLIP}]}}\nsinks: {sinks}\n")
    done = ser_agent(*command, "--config", str(file))
    assert done.stdout
    assert not secrets_in(done.stdout + done.stderr)


@pytest.mark.parametrize(
    "override",
    [
        f"sinks.0.password={SECRETS[1]}",
        f"web.token={SECRETS[2]}",
        f"sinks=[{{type: mqtt, username: agent, password: {SECRETS[1]}}}]",
        f"sinks.0={{password: {SECRETS[1]}}}",
    ],
)
def test_the_command_line_takes_no_secret_since_everybody_can_read_it(override: str) -> None:
    with pytest.raises(ConfigError, match="everybody on this machine can read a command line") as caught:
        load(overrides=(override,))
    assert not secrets_in(str(caught.value))


def test_taking_a_password_away_is_no_secret() -> None:
    load(overrides=("sinks.0.password=null", "sinks.0.password_file=null"))
