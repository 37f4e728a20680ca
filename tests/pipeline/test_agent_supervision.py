"""What the agent tells its supervisor, and everybody, of how it is doing."""

from __future__ import annotations

import contextlib
import queue
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from support.mqtt import PATIENCE_S
from support.rig import PAUSE, SPEECH, Rig, speech

from ser_agent.agent import Outcome
from ser_agent.messages import AgentStats, AnyMessage
from ser_agent.pipeline.stage import Occurrence, Signalled
from ser_agent.systemd import Notifier
from ser_agent.testing import RecordingSink, ScriptedSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class EnoughSink(RecordingSink):
    """Has been told enough once it has been told how the agent is doing."""

    def __init__(self) -> None:
        super().__init__()
        self.has_enough = threading.Event()

    def publish(self, message: AnyMessage) -> None:
        super().publish(message)
        if isinstance(message, AgentStats):
            self.has_enough.set()


def run(notifier: Notifier) -> RecordingSink:
    """Run an agent that hears one utterance, and then nothing, until it has told how it is doing."""
    occurrences: queue.SimpleQueue[Occurrence] = queue.SimpleQueue()
    sink = EnoughSink()

    def stop() -> None:
        sink.has_enough.wait(PATIENCE_S)
        occurrences.put(Signalled(signal.SIGTERM))

    source = ScriptedSource(speech(PAUSE, SPEECH, PAUSE), live=True, when_dry=stop)
    rig = Rig(source, sinks={"record": sink}, notifier=notifier, stats_interval_s=0.0, occurrences=occurrences)
    assert rig.agent().run() is Outcome.STOPPED
    return sink


@pytest.fixture(autouse=True)
def ticking_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser_agent.agent.TICK_S", 0.01)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def watched_by(supervisor: socket.socket) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": supervisor.getsockname(), "WATCHDOG_USEC": "3000000"})


def told(supervisor: socket.socket) -> list[str]:
    """All that the supervisor has been told."""
    states: list[str] = []
    with contextlib.suppress(BlockingIOError):
        while True:
            states.append(supervisor.recv(1000).decode())
    return states


def test_every_so_often_the_agent_tells_everybody_how_it_is_doing() -> None:
    sink = run(Notifier({}))
    report = next(message for message in sink.messages if isinstance(message, AgentStats))
    assert report.uptime_s >= 0
    assert report.published <= report.utterances <= 1
    assert report.lost_by_sink == {"record": 0}
    assert set(report.queues) == {"utterances", "record"}


def test_the_watchdog_is_fed_while_all_stages_give_signs_of_life(supervisor: socket.socket) -> None:
    run(watched_by(supervisor))
    states = told(supervisor)
    assert states.index("STATUS=starting") < states.index("READY=1") < states.index("STOPPING=1")
    assert "WATCHDOG=1" in states


def test_the_watchdog_is_not_fed_while_a_stage_gives_no_sign_of_life(
    supervisor: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ser_agent.agent.STALE_S", -1.0)
    run(watched_by(supervisor))
    states = told(supervisor)
    assert "READY=1" in states
    assert "WATCHDOG=1" not in states
    assert "no sign of life from record, classify, listen" in caplog.text
