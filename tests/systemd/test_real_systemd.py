"""The system unit under a real systemd: what its lines promise is what happens."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.machine import UNIT, Machine, requirements
from support.mqtt import wait_until
from support.security import protected

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.long, pytest.mark.model, pytest.mark.timeout(900, func_only=True)]

CLIP = Path(__file__).parents[1] / "data" / "1066_IOM_NEU_XX.opus"
EVENTS = "var/lib/private/ser-agent/events.jsonl"
CONFIG = """
site: {site}
source: {{type: files, paths: [/srv/speech], realtime: true, loop: true}}
sinks: [{{type: jsonlines, path: /var/lib/ser-agent/events.jsonl}}]
"""
PATIENCE_S = 120
HANGING = """
import threading
from typing import Literal

import numpy as np
from ser_agent.audio import AudioFrame
from ser_agent.options import PluginOptions


class HangingOptions(PluginOptions):
    type: Literal["hanging"] = "hanging"


class HangingSource:
    Options = HangingOptions
    live = True

    def __init__(self, options, context):
        pass

    def open(self):
        pass

    def frames(self):
        yield AudioFrame(np.zeros(512, np.int16), 0, 0.0)
        threading.Event().wait()

    def close(self):
        pass
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if reason := requirements():
        pytest.skip(reason)
    with Machine(tmp_path_factory.mktemp("machine")) as made:
        made.build()
        speech = made.root / "srv" / "speech"
        speech.mkdir(mode=0o755)
        shutil.copy(CLIP, speech)
        extra = made.root / "opt" / "extra"
        (extra / "hanging.py").write_text(HANGING)
        metadata = extra / "hanging-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1\n")
        (metadata / "entry_points.txt").write_text("[ser_agent.sources]\nhanging = hanging:HangingSource\n")
        made.boot()
        yield made


def sites(machine: Machine) -> list[str]:
    """Which sites its events are of, in order."""
    file = machine.root / EVENTS
    return [json.loads(line)["agent"] for line in file.read_text().splitlines()] if file.exists() else []


def status_of(machine: Machine, pid: str) -> dict[str, str]:
    lines = machine.run("cat", f"/proc/{pid}/status").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_it_is_ready_once_it_listens_and_classifies_without_any_privilege(machine: Machine) -> None:
    machine.configure(CONFIG.format(site="den"))
    machine.start()
    assert machine.show("ActiveState") == "active"
    wait_until(lambda: sites(machine), f"events come:\n{machine.log()}", PATIENCE_S)
    wait_until(lambda: "last heard" in machine.show("StatusText"), "the status tells them")
    status = status_of(machine, machine.show("MainPID"))
    assert status["Uid"].split()[0] not in {"0", "65534"}
    assert (status["CapEff"], status["CapBnd"]) == ("0000000000000000", "0000000000000000")
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    rated = machine.run("systemd-analyze", "security", "--threshold=20", "--no-pager", UNIT)
    print(rated.splitlines()[-1])


def test_reloading_takes_a_new_configuration_and_keeps_the_old_one_where_that_is_wrong(
    machine: Machine,
) -> None:
    machine.configure(CONFIG.format(site="den"))
    machine.start()
    pid = machine.show("MainPID")
    machine.configure(CONFIG.format(site="kitchen"))
    machine.run("systemctl", "reload", UNIT)
    wait_until(lambda: "kitchen" in sites(machine), f"the new site speaks:\n{machine.log()}", PATIENCE_S)
    machine.configure("sight: nowhere\n")
    machine.run("systemctl", "reload", UNIT)
    wait_until(lambda: "the old one stays" in machine.log(), "the mistake is told", PATIENCE_S)
    before = len(sites(machine))
    wait_until(lambda: len(sites(machine)) > before, "the old one goes on", PATIENCE_S)
    assert machine.show("MainPID") == pid


def test_one_that_is_killed_is_started_again(machine: Machine) -> None:
    machine.configure(CONFIG.format(site="den"))
    machine.start()
    pid = machine.show("MainPID")
    machine.run("systemctl", "kill", "--signal=KILL", UNIT)
    wait_until(
        lambda: machine.show("MainPID") not in {"0", pid} and machine.show("ActiveState") == "active",
        f"it is up again:\n{machine.log()}",
        PATIENCE_S,
    )
    assert machine.show("NRestarts") == "1"


def test_a_wrong_configuration_starts_nothing_again(machine: Machine) -> None:
    machine.configure("sight: nowhere\n")
    with pytest.raises(AssertionError, match="did you mean 'site'"):
        machine.start()
    assert machine.show("ExecMainStatus") == "78"
    assert (machine.show("ActiveState"), machine.show("NRestarts")) == ("failed", "0")


def test_a_stage_that_hangs_is_ended_by_the_watchdog_and_all_is_started_again(machine: Machine) -> None:
    machine.configure("source: {type: hanging}\nsinks: []\n", "WatchdogSec=10")
    machine.start()
    wait_until(lambda: machine.show("NRestarts") != "0", f"it is started again:\n{machine.log()}", 2 * PATIENCE_S)
    log = machine.log()
    assert "no sign of life from listen" in log
    assert "Watchdog timeout" in log
    assert "status=6/ABRT" in log
    assert "dumped" not in log


def test_the_brokers_password_is_a_credential_that_only_the_service_can_read(
    machine: Machine, mosquitto: str, tmp_path: Path
) -> None:
    password = "correct horse"
    (machine.root / "etc/ser-agent/mqtt_password").write_text(f"{password}\n")
    (machine.root / "etc/ser-agent/mqtt_password").chmod(0o600)
    with protected(mosquitto, tmp_path, password) as broker:
        keys = f"host: 127.0.0.1, port: {broker.port}, username: agent, password: !secret mqtt_password"
        sink = f"{{type: mqtt, {keys}}}"
        config = CONFIG.format(site="den").replace("sinks: [", f"sinks: [{sink}, ")
        machine.configure(config, "LoadCredential=mqtt_password:/etc/ser-agent/mqtt_password")
        machine.start()
        hear = ["mosquitto_sub", "-p", str(broker.port), "-u", "agent", "-P", password, "-W", str(PATIENCE_S)]
        heard = subprocess.run(
            [*hear, "-C", "1", "-t", "ser-agent/den/event"], capture_output=True, text=True, check=False
        )
        assert '"agent":"den"' in heard.stdout, machine.log()
    assert password not in machine.log() + machine.run("ps", "axww")
    assert password not in machine.run("systemctl", "show", UNIT)


@pytest.mark.parametrize("group", ["audio", ""])
def test_users_of_its_own_do_not_hide_the_sound_card(machine: Machine, group: str) -> None:
    """Where there is no card, a device of the same group stands for it: the kernel asks no more than the group."""
    machine.run(
        "sh", "-c", "test -e /dev/card || mknod /dev/card c 1 3; chgrp audio /dev/card; chmod 660 /dev/card"
    )
    lines = (machine.root / "etc/systemd/system" / UNIT).read_text().splitlines()
    confinement = lines[lines.index("DevicePolicy=closed") : lines.index("[Install]")]
    kept = [line for line in confinement if "=" in line and not line.startswith(("#", "DeviceAllow"))]
    assert "PrivateUsers=yes" in kept
    properties = [
        *kept,
        "DynamicUser=yes",
        "DeviceAllow=/dev/card rw",
        *([f"SupplementaryGroups={group}"] * bool(group)),
    ]
    options = [option for line in properties for option in ("-p", line)]
    read = "cat /dev/card && echo opened"
    said = machine.run("systemd-run", "--wait", "--pipe", "-q", *options, "sh", "-c", read, check=False)
    assert ("opened" in said) == bool(group)
