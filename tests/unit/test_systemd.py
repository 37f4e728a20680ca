from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from ser_agent.systemd import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        yield listener


def test_each_state_is_one_datagram(supervisor: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": supervisor.getsockname()})
    notifier.ready()
    notifier.status("last heard: happy\n(87%)")
    notifier.alive()
    notifier.reloading()
    notifier.stopping()
    received = [supervisor.recv(200).decode() for _ in range(5)]
    assert received[:3] == ["READY=1", "STATUS=last heard: happy (87%)", "WATCHDOG=1"]
    assert received[3].startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert received[4] == "STOPPING=1"


def test_the_watchdog_is_ours_only_where_the_pid_says_so() -> None:
    assert Notifier({"WATCHDOG_USEC": "120000000"}).watchdog_s == 120.0
    assert Notifier({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}).watchdog_s == 1.0
    assert Notifier({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).watchdog_s is None
    assert Notifier({}).watchdog_s is None


def test_a_supervisor_that_does_not_read_holds_nothing_up(supervisor: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": supervisor.getsockname()})
    for _ in range(2000):
        notifier.alive()
    assert supervisor.recv(200) == b"WATCHDOG=1"


def test_without_a_supervisor_nothing_happens() -> None:
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": "/nonexistent/socket"}).ready()
