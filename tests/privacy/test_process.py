"""What the process does against looks into its memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ser_agent import process

if TYPE_CHECKING:
    from pathlib import Path

CONFINED = """
import ctypes, os, resource, sys
from pathlib import Path
from ser_agent import process

resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
process.confine()
print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
sys.stdout.flush()
os.abort()
"""
LOOKED_AT = """
import os, signal
from ser_agent import process

os.setgroups([])
os.setgid(65534)
os.setuid(65534)
ready, ready_to = os.pipe()
if (child := os.fork()) == 0:
    process.confine()
    os.write(ready_to, b"!")
    signal.pause()
os.read(ready, 1)
for name in ("mem", "environ"):
    try:
        open(f"/proc/{child}/{name}", "rb")
        print(name, "is readable")
    except OSError as error:
        print(name, type(error).__name__)
os.kill(child, signal.SIGKILL)
"""
FREED = """
import ctypes
import numpy as np
from ser_agent import process

process.confine()
sound = np.full(20_000, 12_345, dtype=np.int16)
address, count = sound.ctypes.data, len(sound)
del sound
left = np.frombuffer(ctypes.string_at(address, 2 * count), np.int16)
print(int((left == 12_345).sum()))
"""


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


def test_a_crash_leaves_no_core_dump(tmp_path: Path) -> None:
    crashed = python(CONFINED, tmp_path)
    assert crashed.returncode == -6, crashed.stderr
    assert crashed.stdout.split() == ["0", "0"]
    assert not list(tmp_path.iterdir())


def test_memory_is_overwritten_when_it_is_freed(tmp_path: Path) -> None:
    assert python(FREED, tmp_path).stdout.strip() == "0"


def test_every_command_confines_its_process(tmp_path: Path) -> None:
    code = (
        "import ctypes, sys; from ser_agent.cli import main; main(['plugins']); print(ctypes.CDLL(None).prctl(3))"
    )
    assert python(code, tmp_path).stdout.splitlines()[-1] == "0"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a process as somebody else")
def test_nobody_of_the_same_user_may_look_into_it(tmp_path: Path) -> None:
    told = python(LOOKED_AT, tmp_path)
    assert told.stdout.splitlines() == [f"{name} PermissionError" for name in ("mem", "environ")], told.stderr


def test_the_hard_limit_stays() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    process.confine()
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, most)
