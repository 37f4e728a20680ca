"""The trial: ``ser-agent run`` without any configuration, on machines that lack a microphone or a broker."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agent import ser_agent as ser_agent_process
from support.mqtt import Listener, Mosquitto, free_port, wait_until
from support.third_party import CHEERFUL

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("third_party")

CLIP = Path(__file__).resolve().parents[1] / "data" / "1076_ITH_DIS_XX.opus"
A_FILE = ("--source", str(CLIP))


def at_port(port: int, **keys: object) -> tuple[str, ...]:
    overrides = {"port": port} | keys
    return tuple(word for key, value in overrides.items() for word in ("--set", f"sinks.0.{key}={value}"))


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A trial that is ended afterwards, whatever happens."""
    program = [sys.executable, "-m", "ser_agent", "run", *CHEERFUL, *arguments]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line_with(words: str, process: subprocess.Popen[str]) -> str:
    """Read the log up to a line with these words."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return line
    raise AssertionError(f"the trial ended without saying {words!r}")


def test_where_no_broker_answers_an_embedded_one_is_started_and_named() -> None:
    pytest.importorskip("amqtt")
    port = free_port()
    done = ser_agent_process("run", *A_FILE, *at_port(port), *CHEERFUL)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "broker" in line and "WARNING" in line]
    assert len(told) == 1
    assert f"no broker answers at localhost:{port}: started an embedded one there (loopback only)" in told[0]
    assert "configuration: none, so this is a trial" in done.stderr
    assert len(done.stdout.splitlines()) == 1, "the event is shown"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()


def test_any_client_hears_the_events_of_the_embedded_broker() -> None:
    pytest.importorskip("amqtt")
    port = free_port()
    source = f'source={{type: files, paths: ["{CLIP}"], realtime: true, loop: true}}'
    with running("--set", source, *at_port(port)) as process:
        line_with("connected", process)
        with Listener(port, v5=False) as listener:
            wait_until(lambda: listener.on("home/event"), "an event comes")
            process.send_signal(signal.SIGINT)
            process.communicate()
        assert process.returncode == 0


@pytest.mark.broker
def test_a_broker_that_answers_is_used(broker: Mosquitto, listener: Listener) -> None:
    done = ser_agent_process("run", *A_FILE, *at_port(broker.port), *CHEERFUL)
    assert done.returncode == 0, done.stderr
    assert "embedded" not in done.stderr


@pytest.mark.parametrize(
    "keys",
    [{"host": "broker.invalid"}, {"tls": "{}"}, {"transport": "websockets"}],
    ids=["elsewhere", "encrypted", "over websockets"],
)
def test_none_is_started_that_the_sink_would_not_find(keys: dict[str, object]) -> None:
    port = free_port()
    with running("--source", "stdin", *at_port(port, **keys)) as process:
        assert "is a trial" in line_with("configuration", process)
        line_with("model", process)  # by now a stand-in would have been started
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()


def test_without_the_package_the_trial_goes_on_and_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "site" / "amqtt.py").write_text("raise ModuleNotFoundError('gone', name='amqtt')")
    port = free_port()
    done = ser_agent_process("run", *A_FILE, *at_port(port), *CHEERFUL)
    assert done.returncode == 0, done.stderr
    assert f"no broker answers at localhost:{port}; events are not published" in done.stderr
    assert "pip install 'ser-agent[broker]'" in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_a_port_that_cannot_be_had_does_not_end_the_trial() -> None:
    pytest.importorskip("amqtt")
    with socket.socket() as taken:  # bound, and never listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        done = ser_agent_process("run", *A_FILE, *at_port(port), *CHEERFUL)
    assert done.returncode == 0, done.stderr
    assert "Address already in use" in done.stderr
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.usefixtures("no_microphone")
def test_where_there_is_no_microphone_a_conversation_is_played_and_announced() -> None:
    with running("--set", "sinks=[]") as process:
        told = line_with("microphone", process)
        assert "no microphone here: playing the bundled conversation instead (a minute, in real time)" in told
        assert process.stdout is not None
        assert "Happy" in process.stdout.readline()
        process.terminate()
        process.communicate()
        assert process.returncode == 0


@pytest.mark.pulse
@pytest.mark.usefixtures("pulse")
def test_a_microphone_that_is_there_is_listened_to() -> None:
    with running("--set", "sinks=[]") as process:
        line_with("listening to microphone", process)
        process.terminate()
        process.communicate()
        assert process.returncode == 0


@pytest.mark.parametrize("option", [("--source", "microphone"), ("--set", "source.device=Blue Yeti")])
@pytest.mark.usefixtures("no_microphone")
def test_nothing_stands_in_for_a_microphone_that_was_asked_for(option: tuple[str, str]) -> None:
    done = ser_agent_process("run", *option, "--set", "sinks=[]", *CHEERFUL)
    assert done.returncode == 69
    assert done.stderr.splitlines()[-1] == "ser-agent: this machine has no microphone (no input device)"


def test_closing_the_terminal_ends_the_trial() -> None:
    with running("--source", "stdin", "--set", "sinks=[]") as process:
        line_with("model", process)
        process.send_signal(signal.SIGHUP)
        process.communicate()
        assert process.returncode == 0
