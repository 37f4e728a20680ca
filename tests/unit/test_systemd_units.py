"""The units and their installer, with systemd's own tools."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ser_agent.app import RESTART_LEAST_S
from ser_agent.config import load
from ser_agent.errors import EX_CONFIG, EX_RESTART

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).with_name("ser-agent")
INSTALLER = ROOT / "scripts" / "install-service"
UNIT_PATHS = {
    "system": "etc/systemd/system/ser-agent.service",
    "user": "conf/systemd/user/ser-agent.service",
    "worker": "etc/systemd/system/ser-agent-worker.service",
}

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def install(destdir: Path, scope: str, *more: str) -> subprocess.CompletedProcess[str]:
    which = [] if scope == "system" else [f"--{scope}"]
    command = [str(INSTALLER), "--destdir", str(destdir), "--program", str(PROGRAM), *which, *more]
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/home/x", "XDG_CONFIG_HOME": "/conf"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@needs_systemd
@pytest.mark.parametrize("scope", UNIT_PATHS)
def test_the_installed_unit_passes_systemds_own_check(tmp_path: Path, scope: str) -> None:
    done = install(tmp_path, scope)
    assert done.returncode == 0, done.stderr
    unit = tmp_path / UNIT_PATHS[scope]
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("scope", ["system", "worker"])
def test_the_system_units_are_well_confined(tmp_path: Path, scope: str) -> None:
    install(tmp_path, scope)
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--json=short"]
    rated = subprocess.run([*command, tmp_path / UNIT_PATHS[scope]], capture_output=True, text=True, check=False)
    assert rated.returncode == 0, rated.stdout
    assert json.loads(rated.stdout)


def test_the_unit_never_hides_the_sound_card_nor_forbids_what_pytorch_does() -> None:
    unit = (ROOT / "systemd" / "ser-agent.service").read_text(encoding="utf-8")
    assert not re.search(r"^(PrivateDevices|MemoryDenyWriteExecute)=", unit, re.MULTILINE)
    assert re.search(r"^RestartPreventExitStatus=78$", unit, re.MULTILINE)


@pytest.mark.parametrize("unit", ["ser-agent.service", "ser-agent.user.service"])
def test_a_restart_that_was_asked_for_is_no_failure_and_a_wrong_configuration_starts_nothing(unit: str) -> None:
    text = (ROOT / "systemd" / unit).read_text(encoding="utf-8")
    settings = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    assert settings["SuccessExitStatus"] == settings["RestartForceExitStatus"] == str(EX_RESTART)
    assert settings["RestartPreventExitStatus"] == str(EX_CONFIG)
    starts = int(settings["StartLimitBurst"])
    assert starts * (RESTART_LEAST_S + int(settings["RestartSec"])) > int(settings["StartLimitIntervalSec"])


def test_installing_keeps_a_configuration_and_uninstalling_leaves_it(tmp_path: Path) -> None:
    config = tmp_path / "etc/ser-agent/ser-agent.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("site: mine\n", encoding="utf-8")
    install(tmp_path, "system")
    unit = tmp_path / UNIT_PATHS["system"]
    assert f"ExecStart={PROGRAM} run --config" in unit.read_text(encoding="utf-8")
    done = install(tmp_path, "system", "--uninstall")
    assert done.returncode == 0, done.stderr
    assert not unit.exists()
    assert config.read_text(encoding="utf-8") == "site: mine\n"


def test_the_installer_refuses_words_it_does_not_know(tmp_path: Path) -> None:
    done = install(tmp_path, "system", "--frobnicate")
    assert done.returncode == 2
    assert "usage:" in done.stderr


def test_a_worker_is_installed_beside_an_agent_and_each_goes_alone(tmp_path: Path) -> None:
    install(tmp_path, "system")
    done = install(tmp_path, "worker")
    assert done.returncode == 0, done.stderr
    agent, worker = tmp_path / UNIT_PATHS["system"], tmp_path / UNIT_PATHS["worker"]
    assert f"ExecStart={PROGRAM} worker --config /etc/ser-agent/worker.yaml" in worker.read_text(encoding="utf-8")
    config = load(tmp_path / "etc/ser-agent/worker.yaml").config
    assert (config.classifier.type, [sink.type for sink in config.sinks]) == ("wav2vec2", ["mqtt"])
    install(tmp_path, "worker", "--uninstall")
    assert (agent.exists(), worker.exists()) == (True, False)


def test_a_worker_is_no_service_of_a_user(tmp_path: Path) -> None:
    done = install(tmp_path, "worker", "--user")
    assert done.returncode == 2
    assert "exclude each other" in done.stderr
