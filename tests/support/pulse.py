"""A private PulseAudio with a virtual microphone: what is played into its speaker is what the microphone hears."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ASOUNDRC = "pcm.!default {type pulse}\nctl.!default {type pulse}\n"
START_S = 60.0
PATIENCE_S = 10.0


class PulseServer:
    """One PulseAudio daemon, found by every program that gets ``environment``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runtime = folder / "run"
        self._runtime.mkdir(mode=0o700, parents=True)
        (folder / "asound.conf").write_text(f"</usr/share/alsa/alsa.conf>\n{ASOUNDRC}", encoding="utf-8")
        self.environment = {
            "XDG_RUNTIME_DIR": str(self._runtime),
            "PULSE_SERVER": f"unix:{self._runtime}/pulse/native",
            "PULSE_SOURCE": "microphone",
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
            "HOME": str(folder),
        }

    def start(self, rate: int = 16_000) -> None:
        """Start the daemon and wait until it answers."""
        modules = [
            f"module-native-protocol-unix socket={self._runtime}/pulse/native",
            f"module-null-sink sink_name=speaker rate={rate} channels=1",
            "module-remap-source master=speaker.monitor source_name=microphone",
        ]
        loads = [argument for module in modules for argument in ("-L", module)]
        log_target = f"file:{self._folder}/pulse.log"
        subprocess.run(
            ["pulseaudio", "--daemonize=yes", "--exit-idle-time=-1", "-n", f"--log-target={log_target}", *loads],
            env=os.environ | self.environment,
            check=True,
            capture_output=True,
        )
        deadline = time.monotonic() + START_S
        while self._pactl("info").returncode != 0:
            assert time.monotonic() < deadline, "PulseAudio does not answer"
            time.sleep(0.05)
        self._pactl("set-default-source", "microphone")

    def play(self, path: Path, sink: str = "speaker") -> None:
        """Play a sound file to its end."""
        subprocess.run(
            ["paplay", f"--device={sink}", str(path)], env=os.environ | self.environment, check=True, timeout=90
        )

    def control(self, *arguments: str) -> str:
        """Run ``pactl`` and give what it says."""
        done = self._pactl(*arguments)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def hang(self) -> None:
        """Stop the daemon where it stands: connections stay, nothing is answered."""
        os.kill(self._pid(), signal.SIGSTOP)

    def go_on(self) -> None:
        """End ``hang``."""
        os.kill(self._pid(), signal.SIGCONT)

    def kill(self) -> None:
        """End the daemon at once."""
        try:
            pid = self._pid()
            os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            return
        deadline = time.monotonic() + PATIENCE_S
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        shutil.rmtree(self._runtime / "pulse", ignore_errors=True)

    def _pid(self) -> int:
        return int((self._runtime / "pulse" / "pid").read_text(encoding="ascii"))

    def _pactl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["pactl", *arguments], env=os.environ | self.environment, check=False, capture_output=True
        )


@pytest.fixture
def pulse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseServer]:
    """A running PulseAudio that this process and its children find."""
    for program in ("pulseaudio", "pactl", "paplay"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    server = PulseServer(tmp_path / "pulse")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.start()
    yield server
    server.kill()
