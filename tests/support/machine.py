"""A small Debian under a real systemd: debootstrap makes it, systemd-nspawn boots it, this checkout runs in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Self

import pytest
from support.mqtt import wait_until

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = "systemd,systemd-sysv,dbus,python3-minimal,procps,libportaudio2,libasound2-plugins,libsqlite3-0"
BOOT_S = 120.0
START_S = 120.0
MAIN = """
import site, sys

sys.path[:0] = ["/opt/checkout", "/opt/extra"]
site.addsitedir("/opt/site")
from ser_agent.cli import main

sys.exit(main())
"""
PROGRAM = """#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib
exec /opt/python/bin/python{version} /opt/main.py "$@"
"""
UNIT = "ser-agent.service"


def requirements() -> str | None:
    """What is missing to boot a machine here; None where nothing is known to be."""
    if os.geteuid() != 0:
        return "only root can boot a container"
    missing = [
        program for program in ("debootstrap", "systemd-nspawn", "nsenter") if shutil.which(program) is None
    ]
    return f"{', '.join(missing)} not installed" if missing else None


class Machine:
    """The container. Its network is this machine's, so a broker here is a broker there."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self._console = folder / "console"
        self._container: subprocess.Popen[bytes] | None = None
        self._init = 0

    def build(self) -> None:
        """Install a minimal Debian and the service; the test skips where the packages cannot be had.

        ``DEBIAN_ROOT`` in the environment names a folder that debootstrap has filled with ``PACKAGES`` before.
        """
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(self.root)]
        if made_before := os.environ.get("DEBIAN_ROOT"):
            command = ["cp", "--archive", made_before, str(self.root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"{command[0]}: {(done.stdout + done.stderr)[-300:]}")
        for name in ("python", "site", "checkout", "extra"):
            (self.root / "opt" / name).mkdir(exist_ok=True)
        (self.root / "opt" / "main.py").write_text(MAIN)
        program = self.root / "opt" / "ser-agent"
        program.write_text(PROGRAM.format(version=f"{sys.version_info.major}.{sys.version_info.minor}"))
        program.chmod(0o755)
        installer = [str(ROOT / "scripts" / "install-service"), "--destdir", str(self.root)]
        subprocess.run([*installer, "--program", "/opt/ser-agent"], check=True, capture_output=True)

    def boot(self) -> None:
        """Boot, and wait until systemd has started everything; the test skips where that cannot be done."""
        site, base = sysconfig.get_path("purelib"), sys.base_prefix
        binds = [f"--bind-ro={base}:/opt/python", f"--bind-ro={site}:/opt/site", f"--bind-ro={ROOT}:/opt/checkout"]
        command = ["systemd-nspawn", "-D", str(self.root), "-b", "--register=no", "--keep-unit", *binds]
        with self._console.open("wb") as console:
            self._container = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
            )
        try:
            wait_until(self._is_up, "it boots", BOOT_S)
        except AssertionError:
            pytest.skip(f"no container boots here: {self._console.read_text(errors='replace')[-300:]}")

    def _is_up(self) -> bool:
        assert self._container is not None
        assert self._container.poll() is None, "the container ended"
        children = Path(f"/proc/{self._container.pid}/task/{self._container.pid}/children").read_text().split()
        if not children:
            return False
        self._init = int(children[0])
        state = self.run("systemctl", "is-system-running", check=False)
        return state.strip() in {"running", "degraded"}

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in it, and give what that says."""
        inside = ["nsenter", "-t", str(self._init), "-a", "--", *command]
        done = subprocess.run(inside, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{self._log_if_up()}"
        return done.stdout

    def _log_if_up(self) -> str:
        return self.log() if self._init else ""

    def log(self) -> str:
        """What the service has logged."""
        return self.run("journalctl", "-u", UNIT, "--no-pager", "-o", "cat", check=False)

    def show(self, name: str) -> str:
        """A property of the service."""
        return self.run("systemctl", "show", UNIT, "--value", "-p", name).strip()

    def configure(self, text: str, drop_in: str = "") -> None:
        """Write the configuration, and what is added to the unit."""
        (self.root / "etc/ser-agent/ser-agent.yaml").write_text(text)
        folder = self.root / f"etc/systemd/system/{UNIT}.d"
        folder.mkdir(exist_ok=True)
        (folder / "test.conf").write_text(f"[Service]\n{drop_in}\n")

    def start(self) -> None:
        """Start the service anew, with nothing left of what was before; returns when it is ready."""
        self.run("systemctl", "stop", UNIT)
        self.run("systemctl", "reset-failed", UNIT, check=False)
        self.run("journalctl", "--rotate")
        self.run("journalctl", "--vacuum-time=1s")
        shutil.rmtree(self.root / "var/lib/private/ser-agent", ignore_errors=True)
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "start", UNIT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._container is None:
            return
        if self._init and self._container.poll() is None:
            self.run("systemctl", "poweroff", "--force", check=False)
        deadline = time.monotonic() + BOOT_S / 4
        while self._container.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if self._container.poll() is None:
            os.killpg(self._container.pid, signal.SIGKILL)
        self._container.wait()
