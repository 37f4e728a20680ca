"""The worker's unit, with systemd's own tools."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ser_agent.errors import EX_CONFIG
from ser_agent.fleet.link import DRAIN_S, FAREWELL_S
from ser_agent.fleet.worker import BENCH_S

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"
UNIT = SYSTEMD / "ser-agent-worker.service"
SOUND_CARD = {"DeviceAllow", "SupplementaryGroups"}
"""What the agent has beyond its worker, by systemd's names; all else that confines is the same."""

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def settings(unit: Path) -> dict[str, str]:
    lines = unit.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as it is put into place: with the path of a program that is there."""
    unit = tmp_path / UNIT.name
    program = Path(sys.executable).with_name("ser-agent")
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/usr/local/bin/ser-agent", str(program)))
    return unit


@needs_systemd
def test_it_passes_systemds_own_check(installed: Path) -> None:
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(installed)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


@needs_systemd
def test_it_is_well_confined(installed: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", "--json=short", str(installed)]
    rated = subprocess.run(command, capture_output=True, text=True, check=False)
    assert rated.returncode == 0, rated.stdout
    assert json.loads(rated.stdout)


def test_what_confines_the_agent_confines_its_worker() -> None:
    agent, worker = settings(SYSTEMD / "ser-agent.service"), settings(UNIT)
    kinds = ("Private", "Protect", "Restrict", "Capability", "Ambient", "SystemCall", "NoNew", "Lock", "Remove")
    confining = {key for key in agent if key.startswith(kinds)} - {"RestartForceExitStatus"}
    assert {key: worker[key] for key in confining} == {key: agent[key] for key in confining}
    assert not SOUND_CARD & set(worker)
    assert worker["PrivateDevices"] == worker["DynamicUser"] == "yes"
    assert worker["UMask"] == agent["UMask"]


def test_a_wrong_configuration_starts_nothing_and_the_end_has_the_time_that_it_takes() -> None:
    worker = settings(UNIT)
    assert worker["RestartPreventExitStatus"] == str(EX_CONFIG)
    assert worker["ExecStart"].split()[1] == "worker"
    assert int(worker["TimeoutStopSec"]) > DRAIN_S + 2 * FAREWELL_S + BENCH_S
