"""The fleet's files: what can be said of them without EMQX and containers."""

from __future__ import annotations

import csv
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.examples import EXAMPLES

from ser_agent.classifiers.remote import RemoteOptions
from ser_agent.config import load
from ser_agent.fleet.worker import check
from ser_agent.fleet_wire import LONGEST_FLAC
from ser_agent.sinks.mqtt_options import MqttOptions
from ser_agent.sinks.mqtt_tls import tls_for

ROOT = EXAMPLES.parent
EXAMPLE = EXAMPLES / "fleet"
EMQX = EXAMPLE / "emqx"


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((EMQX / "compose.yaml").read_text(encoding="utf-8"))
    return document


def emqx_setting(name: str) -> str:
    found = re.search(rf"^\s*{name} = (.+)$", (EMQX / "emqx.conf").read_text(encoding="utf-8"), re.MULTILINE)
    assert found, name
    return found[1]


def test_what_the_containers_are_given_is_there_or_is_made_by_the_recipe() -> None:
    recipe = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    for service in compose()["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./"):
                made = re.escape(source.removeprefix("./"))
                assert (EMQX / source).exists() or re.search(rf"(-out|>>?) {made}\b", recipe), source
            else:
                assert source in compose()["volumes"]


def test_each_node_is_a_seed_under_the_name_that_the_others_find_it_by() -> None:
    nodes = {name: service for name, service in compose()["services"].items() if name.startswith("emqx")}
    assert len(nodes) == 2
    for node in nodes.values():
        name = node["environment"]["EMQX_NODE_NAME"]
        host = name.partition("@")[2]
        assert host == node["hostname"]
        assert host in node["networks"]["fleet"]["aliases"]
        assert all(name in other["environment"]["EMQX_CLUSTER__STATIC__SEEDS"] for other in nodes.values())


def test_nothing_but_the_encrypted_listener_is_open_to_other_machines() -> None:
    published = [port for service in compose()["services"].values() for port in service.get("ports", ())]
    open_to_all = [port for port in published if not port.startswith("127.0.0.1:")]
    assert {port.split(":")[1] for port in open_to_all} == {"8883"}


def test_each_worker_has_a_user_of_its_own_called_as_itself() -> None:
    workers = {name: service for name, service in compose()["services"].items() if name.startswith("worker")}
    for name, worker in workers.items():
        assert worker["command"][worker["command"].index("--name") + 1] == worker["environment"]["WORKER"] == name
        assert f"user {name}\n" in (EXAMPLE / "mosquitto" / "fleet.acl").read_text(encoding="utf-8")


def test_no_secret_stands_in_the_files() -> None:
    text = (EMQX / "compose.yaml").read_text(encoding="utf-8")
    for line in text.splitlines():
        assert not re.search(r"(COOKIE|PASSWORD): (?!\"?\$\{)", line), line


def test_emqx_takes_the_longest_sound_that_is_sent() -> None:
    assert emqx_setting("max_packet_size") == f"{LONGEST_FLAC // 2**20}MB"


def test_emqx_asks_everybody_who_they_are_and_refuses_what_no_rule_allows() -> None:
    assert emqx_setting("no_match") == "deny"
    assert emqx_setting("mechanism") == "password_based"
    text = (EMQX / "emqx.conf").read_text(encoding="utf-8")
    assert '{ type = file, enable = true, path = "etc/acl.conf" }' in text
    assert "password_hash_algorithm { name = sha256, salt_position = suffix }" in text


def test_add_user_makes_a_line_as_emqx_reads_it() -> None:
    done = subprocess.run(
        [EMQX / "add-user", "living-room"], input="se cret\n", capture_output=True, text=True, check=True
    )
    ((user, hashed, salt, superuser),) = csv.reader([done.stdout.strip()])
    assert (user, superuser) == ("living-room", "false")
    assert hashed == hashlib.sha256(f"se cret{salt}".encode()).hexdigest()
    assert len(salt) == 32


def test_add_user_salts_each_line_anew() -> None:
    runs = [
        subprocess.run([EMQX / "add-user", "a"], input="same", capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] != runs[1]


def test_add_user_wants_a_name() -> None:
    done = subprocess.run([EMQX / "add-user"], input="", capture_output=True, text=True, check=False)
    assert done.returncode == 64
    assert "usage" in done.stderr


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the configurations, and with what they ask for."""
    monkeypatch.setenv("WORKER", "worker-1")
    monkeypatch.setenv("MQTT_PASSWORD", "correct horse")
    (tmp_path / "secrets.yaml").write_text("mqtt_password: battery staple\n", encoding="utf-8")
    for file in ("satellite.yaml", "worker.yaml", "emqx/worker.yaml"):
        (tmp_path / file.replace("/", "-")).write_bytes((EXAMPLE / file).read_bytes())
    return tmp_path


def test_the_satellites_configuration_is_one_and_encrypts_what_is_said(configured: Path) -> None:
    config = load(configured / "satellite.yaml").config
    assert isinstance(config.classifier, RemoteOptions)
    assert config.classifier.username == config.site
    assert tls_for(config.classifier.host, config.classifier.tls) is not None
    assert config.vad.type == "webrtc"


@pytest.mark.parametrize("file", ["worker.yaml", "emqx-worker.yaml"])
def test_the_workers_configuration_is_one_that_a_worker_takes(configured: Path, file: str) -> None:
    config = load(configured / file).config
    (sink,) = config.sinks
    assert isinstance(sink, MqttOptions)
    check(sink)
    assert sink.username == "worker-1"
    assert config.classifier.type == "wav2vec2"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", ["ser-agent.service", "ser-agent-worker.service"])
def test_systemd_takes_the_units_with_what_the_example_adds(tmp_path: Path, unit: str) -> None:
    program = str(Path(sys.executable).with_name("ser-agent"))
    (addition,) = (EXAMPLE / "systemd" / f"{unit}.d").iterdir()
    (tmp_path / f"{unit}.d").mkdir()
    for source, name in ((ROOT / "systemd" / unit, unit), (addition, f"{unit}.d/{addition.name}")):
        text = source.read_text(encoding="utf-8").replace("/usr/local/bin/ser-agent", program)
        (tmp_path / name).write_text(text, encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / unit)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
