"""The example's access list in a real mosquitto: the agent does its work, and nobody may do more than that."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agent import AgentProcess
from support.mqtt import Listener, Mosquitto, wait_until
from support.security import make_authority, make_certificate
from support.third_party import install

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.broker

EXAMPLE = Path(__file__).parents[2] / "examples" / "mosquitto"
CLIP = Path(__file__).parents[1] / "data" / "1066_IOM_NEU_XX.opus"
USERS = ("living-room-agent", "homeassistant", "lamp")
PATIENCE_S = 60.0


def settings(folder: Path) -> str:
    """The example's configuration but for its listener, with its paths below a folder."""
    text = (EXAMPLE / "mosquitto.conf").read_text().replace("/etc/mosquitto/", f"{folder}/")
    return re.sub(r"^(listener|cafile|certfile|keyfile|tls_version) .*$", "", text, flags=re.MULTILINE)


@pytest.fixture
def guarded(mosquitto: str, tmp_path: Path) -> Iterator[Mosquitto]:
    """The broker with the example's users, each with its name for a password."""
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")
    passwords = tmp_path / "passwords"
    passwords.touch()
    for user in USERS:
        subprocess.run([tool, "-b", passwords, user, user], check=True, capture_output=True)
    shutil.copy(EXAMPLE / "ser-agent.acl", tmp_path)
    with Mosquitto(mosquitto, tmp_path, settings(tmp_path), anonymous=False) as broker:
        yield broker


def as_user(broker: Mosquitto, name: str, client: str = "client") -> Listener:
    return Listener(broker.port, name=f"{name}-{client}", user=(name, name))


def test_the_agent_works_and_is_muted_by_home_assistant_alone(
    guarded: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    sink = {"type": "mqtt", "port": guarded.port, "username": USERS[0], "password": USERS[0]}
    source = {"type": "files", "paths": [str(CLIP)], "realtime": True, "loop": True}
    config = {"site": "living-room", "source": source, "classifier": {"type": "cheerful"}, "sinks": [sink]}
    with (
        as_user(guarded, "homeassistant") as home,
        as_user(guarded, "lamp") as lamp,
        AgentProcess(tmp_path, config) as agent,
    ):
        wait_until(home.event_ids, f"events come:\n{agent.log}", PATIENCE_S)
        wait_until(lambda: home.on("ser-agent-living-room/config"), "the device is announced")
        lamp.say("ser-agent/living-room/listen/set", "OFF")
        home.say("ser-agent/living-room/request/health_check", "{}")
        wait_until(lambda: home.on("response/health_check"), "it answers")
        assert home.last("listen/state") == "ON"
        home.say("ser-agent/living-room/listen/set", "OFF")
        wait_until(lambda: home.last("listen/state") == "OFF", f"it is muted:\n{agent.log}", PATIENCE_S)
        wait_until(lambda: lamp.heard, "the lamp hears the emotion")
        assert {heard.topic for heard in lamp.heard} == {"ser-agent/living-room/emotion"}
        assert agent.stop() == 0
        assert "not authorized" not in agent.log
        assert "does not let us" not in agent.log


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("living-room-agent", "ser-agent/kitchen/event"),
        ("living-room-agent", "ser-agent/kitchen/listen/set"),
        ("living-room-agent", "ser-agent/living-room-2/event"),
        ("living-room-agent", "homeassistant/device/ser-agent-kitchen/config"),
        ("living-room-agent", "homeassistant/status"),
        ("living-room-agent", "zigbee2mqtt/lock/set"),
        ("homeassistant", "ser-agent/living-room/event"),
        ("homeassistant", "ser-agent/living-room/emotion"),
        ("lamp", "ser-agent/living-room/listen/set"),
        ("lamp", "ser-agent/living-room/emotion"),
    ],
)
def test_nobody_can_say_what_is_not_theirs_to_say(guarded: Mosquitto, user: str, topic: str) -> None:
    with as_user(guarded, "homeassistant") as home, as_user(guarded, user, "speaker") as speaker:
        speaker.say(topic, "forged")
        home.say("ser-agent/anywhere/listen/set", "behind it")
        wait_until(lambda: home.last("anywhere/listen/set"), "what was said later arrives")
        assert not home.on(topic)


def test_the_agent_hears_nothing_of_another_one(guarded: Mosquitto) -> None:
    with as_user(guarded, "homeassistant") as home, as_user(guarded, "living-room-agent") as agent:
        home.say("ser-agent/kitchen/listen/set", "OFF")
        home.say("ser-agent/living-room/listen/set", "OFF")
        wait_until(lambda: agent.heard, "its own command arrives")
        assert [heard.topic for heard in agent.heard] == ["ser-agent/living-room/listen/set"]


def test_the_listener_encrypts_and_takes_no_strangers(mosquitto: str, tmp_path: Path) -> None:
    """The whole file, at another port: mosquitto accepts every line of it."""
    authority = make_authority(tmp_path, "ca")
    make_certificate(authority, "broker", "DNS:broker.lan")
    (tmp_path / "passwords").touch()
    shutil.copy(EXAMPLE / "ser-agent.acl", tmp_path)
    text = (EXAMPLE / "mosquitto.conf").read_text()
    text = text.replace("/etc/mosquitto/certs/", f"{tmp_path}/").replace("/etc/mosquitto/", f"{tmp_path}/")
    with Mosquitto(mosquitto, tmp_path, re.sub(r"^listener .*$", "", text, flags=re.MULTILINE)) as broker:
        said = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{broker.port}", "-CAfile", authority, "-brief"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    assert "Verification: OK" in said.stderr
