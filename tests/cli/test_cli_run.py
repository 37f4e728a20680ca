"""``ser-agent run`` with its options, as one would type it. Its life as a daemon is tested in ``tests/daemon``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.agent import AgentProcess
from support.agent import ser_agent as ser_agent_process
from support.mqtt import Listener, Mosquitto, wait_until
from support.third_party import CHEERFUL

from ser_agent.audio_files import read_utterance

pytestmark = pytest.mark.usefixtures("third_party")

CLIP = Path(__file__).resolve().parents[1] / "data" / "1076_ITH_DIS_XX.opus"
TO_STDOUT = ("--set", "sinks=[{type: jsonlines}]")


def events(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_file_to_json_lines() -> None:
    done = ser_agent_process("run", "--source", str(CLIP), *TO_STDOUT, *CHEERFUL)
    assert done.returncode == 0, done.stderr
    (event,) = events(done.stdout)
    assert (event["schema"], event["agent"], event["source"]) == (1, "home", "files")
    assert "1 utterances: 1 published, 0 failed, 0 dropped" in done.stderr


def test_a_folder_to_json_lines() -> None:
    done = ser_agent_process("run", "--source", str(CLIP.parent), *TO_STDOUT, *CHEERFUL)
    assert done.returncode == 0, done.stderr
    assert len(events(done.stdout)) == len(list(CLIP.parent.glob("*.opus")))


def test_raw_sound_on_standard_input() -> None:
    sound = read_utterance(CLIP).tobytes()
    done = ser_agent_process("run", "--source", "stdin", *TO_STDOUT, *CHEERFUL, stdin=sound)
    assert done.returncode == 0, done.stderr
    (event,) = events(done.stdout)
    assert event["source"] == "stdin"


def test_raw_sound_of_another_kind_gives_the_same_utterance() -> None:
    sound = read_utterance(CLIP)
    stereo = np.repeat(sound[::2], 2).tobytes()
    kind = ("--set", "source.rate=8000", "--set", "source.channels=2")
    done = ser_agent_process("run", "--source", "stdin", *kind, *TO_STDOUT, *CHEERFUL, stdin=stereo)
    (event,) = events(done.stdout)
    assert event["duration_s"] == pytest.approx(len(sound) / 16_000, abs=1.0)


@pytest.mark.broker
def test_one_key_leads_the_events_to_a_broker(broker: Mosquitto, listener: Listener) -> None:
    port = ("--set", f"sinks.0.port={broker.port}", "--set", "site=kitchen")
    done = ser_agent_process("run", "--source", str(CLIP), *port, *CHEERFUL)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: listener.last("kitchen/availability") == "offline", "it says farewell")
    assert len(listener.on("kitchen/event")) == 1


def test_events_are_shown_to_people_unless_they_want_quiet() -> None:
    shown, quiet = (
        ser_agent_process("run", "--source", str(CLIP), "--set", "sinks=[]", *CHEERFUL, *flag)
        for flag in ((), ("--quiet",))
    )
    assert (shown.returncode, quiet.returncode) == (0, 0)
    assert len(shown.stdout.splitlines()) == 1
    assert "%" in shown.stdout
    assert quiet.stdout == ""


def test_a_configured_console_is_not_doubled() -> None:
    done = ser_agent_process("run", "--source", str(CLIP), "--set", "sinks=[{type: console}]", *CHEERFUL)
    assert len(done.stdout.splitlines()) == 1


def test_a_file_beside_good_ones_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no sound")
    (tmp_path / "b.opus").symlink_to(CLIP)
    done = ser_agent_process("run", "--source", str(tmp_path), *TO_STDOUT, *CHEERFUL)
    assert done.returncode == 0
    assert len(events(done.stdout)) == 1
    assert f"passed over: {tmp_path}/a.wav: not an audio file that can be read" in done.stderr


@pytest.mark.parametrize(
    ("source", "code", "complaint"),
    [
        ("nowhere.wav", 69, "{folder}/nowhere.wav: no such file or directory"),
        ("empty", 69, "{folder}/empty: a folder without audio files"),
        ("text.wav", 69, "none of the files holds sound that can be read"),
        ("", 78, "--source '': expected microphone, stdin, or the name of a file in UTF-8"),
        ("caf\udce9.wav", 78, "expected microphone, stdin, or the name of a file in UTF-8"),
    ],
)
def test_a_source_that_cannot_be_had_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, code: int, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.wav").write_text("no sound")
    done = ser_agent_process("run", "--source", source, *TO_STDOUT, *CHEERFUL)
    assert done.returncode == code
    assert done.stderr.splitlines()[-1].startswith("ser-agent: ")
    assert complaint.format(folder=tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_configuration_that_has_gone_leaves_the_old_one_running(tmp_path: Path) -> None:
    source = {"type": "files", "paths": [str(CLIP)], "realtime": True, "loop": True}
    with AgentProcess(tmp_path, {"source": source, "sinks": []}, *CHEERFUL) as agent:
        agent.wait_for("READY=1")
        agent.config.unlink()
        agent.send(signal.SIGHUP)
        wait_until(lambda: "no such configuration file" in agent.log, f"the loss is told:\n{agent.log}")
        assert agent.stop() == 0


def test_a_configuration_that_was_found_and_has_gone_does_too(home: Path, tmp_path: Path) -> None:
    looping = {"type": "files", "paths": [str(CLIP)], "realtime": True, "loop": True}
    file = home / ".config" / "ser-agent" / "ser-agent.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"source": looping, "sinks": [{"type": "jsonlines"}]}))
    program = [sys.executable, "-m", "ser_agent", "run", *CHEERFUL]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        file.unlink()
        process.send_signal(signal.SIGHUP)
        told = ""
        while "no such configuration file" not in told:
            line = process.stderr.readline()
            assert line, told
            told += line
        process.terminate()
        process.communicate()
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
