"""The agent as a process of its own, as a user or systemd would start it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from pathlib import Path


START_S = 100.0
STOP_S = 60.0


def ser_agent(*arguments: str, timeout_s: float = 100.0, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run a command of the agent to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "ser_agent", *arguments],
        input=stdin,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class AgentProcess:
    """``ser-agent run --config`` under a stand-in for systemd: ready when it says so."""

    def __init__(self, folder: Path, config: Mapping[str, object], *arguments: str, command: str = "run") -> None:
        """Prepare; the configuration is written as YAML (of which JSON is a part)."""
        self._command = command
        self.config = folder / "agent.yaml"
        self.configure(config)
        self._arguments = arguments
        self._log = folder / "agent.log"
        self._log.write_bytes(b"")
        self._supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._supervisor.bind(str(folder / "notify"))
        self._address = str(folder / "notify")
        self._told: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, config: Mapping[str, object]) -> None:
        """Write the configuration anew."""
        self.config.write_text(json.dumps(config), encoding="utf-8")

    def start(self) -> None:
        """Start it; it need not come up."""
        with self._log.open("ab") as log:  # appended to, so that reading it meanwhile moves nothing
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ser_agent", self._command, "--config", str(self.config), *self._arguments],
                env=os.environ
                | {
                    "NOTIFY_SOCKET": self._address,
                    "WATCHDOG_USEC": "3000000",
                    "STATE_DIRECTORY": str(self.config.parent / "state"),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_for(self, state: str, patience_s: float = START_S) -> None:
        """Wait until it tells systemd a state, such as ``READY=1``."""
        deadline = time.monotonic() + patience_s
        try:
            while state not in self._told.get(timeout=max(0.0, deadline - time.monotonic())):
                pass
        except queue.Empty:
            raise AssertionError(f"the agent never said {state}:\n{self.log}") from None

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._told.put(self._supervisor.recv(1000).decode())

    def send(self, signum: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(signum)

    def stop(self) -> int:
        """End it as systemd would, and give its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(STOP_S)

    def wait(self, patience_s: float = START_S) -> int:
        """Wait until it ends by itself, and give its exit code."""
        assert self.process is not None
        return self.process.wait(patience_s)

    @property
    def log(self) -> str:
        """All that it has written."""
        return self._log.read_bytes().decode()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_S)
        self._supervisor.close()
