"""``ser-agent check --live``: does each part work on this machine?"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agent import ser_agent as ser_agent_process
from support.third_party import CHEERFUL

from ser_agent.cli import check_command

if TYPE_CHECKING:
    from support.command_line import Command, Outcome
    from support.mqtt import Mosquitto

CLIP = Path(__file__).resolve().parents[1] / "data" / "1076_ITH_DIS_XX.opus"
FILES = {"type": "files", "paths": [str(CLIP)]}


A_FILE = ("--set", f"source={json.dumps(FILES)}")
NO_SINKS = ("--set", "sinks=[]")


def checked(ser_agent: Command, folder: Path, **sections: object) -> Outcome:
    file = folder / "agent.yaml"
    file.write_text(json.dumps({"source": FILES, "sinks": []} | sections), encoding="utf-8")
    return ser_agent("check", "--live", "--config", file)


@pytest.mark.broker
@pytest.mark.model
def test_every_part_that_works_is_ok(ser_agent: Command, broker: Mosquitto, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    sinks = [{"type": "mqtt", "port": broker.port}, {"type": "jsonlines", "path": "events.jsonl"}]
    outcome = checked(ser_agent, tmp_path, sinks=sinks)
    assert (outcome.code, outcome.err) == (0, "")
    expected = [
        r"configuration: valid \(.*/agent\.yaml\)",
        r"source files: OK: sound arrives",
        r"vad cascade: OK: takes silence for speech with a probability of 0\.00",
        r"classifier wav2vec2: OK: embedded\S* loaded, labels: angry, .*",
        rf"sink mqtt: OK: MQTT broker localhost:{broker.port} speaks MQTT 5",
        r"sink jsonlines: OK: opened",
    ]
    for line, pattern in zip(outcome.out.splitlines(), expected, strict=True):
        assert re.fullmatch(pattern, line), line


@pytest.mark.usefixtures("third_party")
def test_a_broker_that_is_not_there_is_not_ok() -> None:
    with socket.socket() as taken:  # bound, and never listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        sinks = json.dumps([{"type": "mqtt", "port": port}, {"type": "mqtt", "port": port, "host": "127.0.0.1"}])
        done = ser_agent_process("check", "--live", *CHEERFUL, *A_FILE, "--set", f"sinks={sinks}")
    assert done.returncode == 69
    *others, first, second = done.stdout.splitlines()
    assert not [line for line in others if "NOT OK" in line]
    for name, host, line in (("mqtt", "localhost", first), ("mqtt-2", "127.0.0.1", second)):
        assert line.startswith(f"sink {name}: NOT OK: MQTT broker {host}:{port}: connection refused")


@pytest.mark.model
def test_every_part_is_checked_also_after_one_that_does_not_work(ser_agent: Command, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    outcome = checked(
        ser_agent,
        tmp_path,
        source={"type": "files", "paths": ["nowhere.wav"]},
        classifier={"model": "./nowhere"},
        sinks=[{"type": "jsonlines", "path": "no/such/folder"}, {"type": "console"}],
    )
    assert outcome.code == 69
    assert outcome.out.splitlines()[1:] == [
        f"source files: NOT OK: {tmp_path}/nowhere.wav: no such file or directory",
        "vad cascade: OK: takes silence for speech with a probability of 0.00",
        f"classifier wav2vec2: NOT OK: model nowhere: there is no folder {tmp_path}/nowhere",
        f"sink jsonlines: NOT OK: {tmp_path}/no/such/folder cannot be written: No such file or directory",
        "sink console: OK: opened",
    ]


@pytest.mark.usefixtures("third_party")
def test_an_input_that_ends_before_any_sound_is_not_ok() -> None:
    done = ser_agent_process("check", "--live", "--set", "source.type=stdin", *CHEERFUL, *NO_SINKS)
    assert done.returncode == 69
    assert "source stdin: NOT OK: it ended without any sound" in done.stdout


def test_an_input_without_any_sound_is_not_ok(
    ser_agent: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr(check_command, "FIRST_FRAME_S", 0.1)
    with os.fdopen(reader) as silent, os.fdopen(writer, "wb"):
        monkeypatch.setattr(sys, "stdin", silent)
        outcome = checked(ser_agent, tmp_path, source={"type": "stdin"}, classifier={"model": "./nowhere"})
    assert outcome.code == 69
    assert "source stdin: NOT OK: no sound within 0.1 s" in outcome.out


@pytest.mark.pulse
@pytest.mark.usefixtures("pulse", "third_party")
def test_the_microphone_is_heard() -> None:
    done = ser_agent_process("check", "--live", *CHEERFUL, *NO_SINKS)
    assert done.returncode == 0, done.stdout
    assert "source microphone: OK: sound arrives" in done.stdout


@pytest.mark.pulse
@pytest.mark.usefixtures("pulse", "third_party")
def test_a_microphone_by_another_name_is_not_ok_and_those_there_are_told() -> None:
    done = ser_agent_process("check", "--live", "--set", "source.device=Blue Yeti", *CHEERFUL, *NO_SINKS)
    assert done.returncode == 69
    assert "source microphone: NOT OK: no microphone 'Blue Yeti'; known: " in done.stdout
