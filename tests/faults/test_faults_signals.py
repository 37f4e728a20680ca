"""Signals at any moment of start, work and stop: the agent ends with 0, or is killed; it never dies of one."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.agent import AgentProcess
from support.faults import install_plugins, loud_file
from support.mqtt import wait_until

from ser_agent import signals

pytestmark = pytest.mark.timeout(600)

SEED = 20261127
BOOKS = re.compile(r"(\d+) utterances: (\d+) published, (\d+) failed, (\d+) dropped")
PATIENCE_S = 120.0
BESIDE_EACH_OTHER = 3


@dataclass(frozen=True, slots=True)
class Blow:
    """Signals that one agent gets.

    Attributes:
        first: the first of them, so many seconds after the agent began to hold signals.
        delays_s: seconds before each.
        then: further ones.
    """

    first: signal.Signals
    delays_s: tuple[float, ...]
    then: tuple[signal.Signals, ...]


def blows(count: int, life_s: float) -> list[Blow]:
    """Signals at random moments within so many seconds: half of them to an agent that is already about to stop."""
    rng = random.Random(SEED)  # noqa: S311 - not for secrets
    ends = (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    result = []
    for number in range(count):
        first = signal.SIGHUP if number % 4 == 0 else ends[number % 4]
        then = (rng.choice((signal.SIGTERM, signal.SIGINT, signal.SIGHUP)),) if number % 2 else ()
        last = (signal.SIGTERM,) if first is signal.SIGHUP else ()
        delays = [rng.uniform(0, life_s), *(rng.uniform(0, 0.5) for _ in (*then, *last))]
        result.append(Blow(first, tuple(delays), (*then, *last)))
    return result


def holds_signals(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has said what is to happen on SIGTERM: until then the kernel ends it."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


def config(folder: Path, sound: Path) -> dict[str, object]:
    return {
        "source": {"type": "files", "paths": [str(sound)], "realtime": True, "loop": True},
        "vad": {"type": "energy"},
        "classifier": {"type": "odd"},
        "sinks": [{"type": "jsonlines", "path": str(folder / "events.jsonl")}],
    }


def survive(folder: Path, sound: Path, blow: Blow) -> None:
    """Start an agent where one has lived before, send it the signals, and look at what it leaves behind."""
    folder.mkdir(exist_ok=True)
    (folder / "notify").unlink(missing_ok=True)
    with AgentProcess(folder, config(folder, sound)) as agent:
        process = agent.process
        assert process is not None
        wait_until(lambda: holds_signals(process), "it holds signals", PATIENCE_S)
        for signum, delay_s in zip((blow.first, *blow.then), blow.delays_s, strict=True):
            time.sleep(delay_s)  # nothing is waited for: that is the moment
            agent.send(signum)
        code = agent.wait(PATIENCE_S)
        log = agent.log
    killed = signal.SIGKILL in {blow.first, *blow.then}
    assert code in ({0, -signal.SIGKILL} if killed else {0}), f"{blow} ended it with {code}:\n{log}"
    assert "Traceback" not in log, f"{blow}:\n{log}"
    for begun, *ended in BOOKS.findall(log):
        assert int(begun) == sum(map(int, ended)), f"{blow}:\n{log}"
    events = folder / "events.jsonl"
    for line in events.read_text().splitlines() if events.exists() else ():
        json.loads(line)


def start_s(folder: Path, sound: Path) -> float:
    """How long an agent takes here and now from holding signals to being ready."""
    folder.mkdir()
    with AgentProcess(folder, config(folder, sound)) as agent:
        process = agent.process
        assert process is not None
        wait_until(lambda: holds_signals(process), "it holds signals", PATIENCE_S)
        began_s = time.monotonic()
        agent.wait_for("READY=1")
        took_s = time.monotonic() - began_s
        assert agent.stop() == 0, agent.log
    return took_s


@pytest.fixture
def sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    install_plugins(tmp_path / "site", monkeypatch)
    return loud_file(tmp_path, utterances=2)


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("count", [12, pytest.param(200, marks=pytest.mark.long)])
def test_signals_at_random_moments_end_it_well_or_kill_it(tmp_path: Path, sound: Path, count: int) -> None:
    every = blows(count, life_s=2 * start_s(tmp_path / "first", sound))

    def survive_all(number: int) -> None:
        for blow in every[number::BESIDE_EACH_OTHER]:
            survive(tmp_path / str(number), sound, blow)

    with ThreadPoolExecutor(BESIDE_EACH_OTHER) as threads:
        list(threads.map(survive_all, range(BESIDE_EACH_OTHER)))


def test_a_signal_before_the_first_module_is_imported_ends_it_before_it_begins(
    tmp_path: Path, sound: Path
) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(json.dumps(config(tmp_path, sound)))
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, [signal.SIGTERM]
    )  # the child has it blocked, as after an exec
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "ser_agent", "run", "--config", str(file)], stderr=subprocess.PIPE
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    process.terminate()
    _, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, log.decode()
    assert b"listening" not in log


RESTARTING = """
import os, sys
from ser_agent import signals
signals.hold()
print(os.getpid(), flush=True)
from ser_agent.cli.run_command import _execute_anew
code = 0 if signals.stop_is_wanted() else _execute_anew()
signals.ignore()
sys.exit(code)
"""


def test_a_signal_while_it_executes_itself_anew_again_and_again_ends_it_well() -> None:
    rng = random.Random(SEED)  # noqa: S311 - not for secrets
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", RESTARTING], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lives = [process.stdout.readline() for _ in range(2)]
            time.sleep(rng.uniform(0, 0.5))  # nothing is waited for: that is the moment
            process.terminate()
            assert process.wait(PATIENCE_S) == 0
        assert lives == [f"{process.pid}\n"] * 2


def test_of_the_signals_that_are_held_the_agent_hears_in_their_order() -> None:
    handlers = {signum: signal.getsignal(signum) for signum in signals.SIGNALS}
    try:
        signals.hold()
        signal.raise_signal(signal.SIGHUP)
        assert not signals.stop_is_wanted()
        with signals.blocked():
            signal.raise_signal(signal.SIGTERM)
            assert not signals.stop_is_wanted()
        assert signals.stop_is_wanted()
        assert signals.held() == [signal.SIGHUP, signal.SIGTERM]
        assert signals.held() == []
        signals.ignore()
        signal.raise_signal(signal.SIGTERM)
        assert signals.held() == []
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
