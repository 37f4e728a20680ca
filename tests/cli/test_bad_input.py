"""Whatever is wrong, a user gets one message that names it and why, the right exit code, and no traceback."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agent import ser_agent as ser_agent_process
from support.command_line import Outcome
from support.mqtt import Mosquitto
from support.security import make_authority, make_certificate, protected, tls_settings
from support.sound_files import write_bad_ones
from support.third_party import CHEERFUL

from ser_agent.audio_files import read_utterance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.command_line import Command

CLIP = Path(__file__).resolve().parents[1] / "data" / "1076_ITH_DIS_XX.opus"
A_FILE = f"source={json.dumps({'type': 'files', 'paths': [str(CLIP)]})}"
LIMIT_S = 100


@dataclass(frozen=True, slots=True)
class Case:
    """Something wrong. In all texts ``@dir`` is a folder of bad things, ``@absent`` and the like are ports.

    Attributes:
        what: a name for it.
        arguments: the command line.
        code: the exit code.
        says: parts of the message.
        config: content of ``@dir/agent.yaml``.
        apart: run it in a process of its own, where a third party's plugins are installed.
    """

    what: str
    arguments: tuple[str, ...]
    code: int
    says: tuple[str, ...]
    config: str | bytes = ""
    apart: bool = False


def sound(name: str, *says: str, command: str = "classify") -> Case:
    return Case(f"{command} {name}", (command, f"@dir/{name}"), 69, (f"@dir/{name}: ", *says))


def config(what: str, text: str | bytes, place: str, *says: str) -> Case:
    return Case(what, ("check", "-c", "@dir/agent.yaml"), 78, (f"@dir/agent.yaml{place}: ", *says), text)


def override(text: str, *says: str) -> Case:
    return Case(f"--set {text[:20]}", ("check", "--set", text), 78, ("--set", *says))


def model(name: str, *says: str) -> Case:
    arguments = ("classify", str(CLIP), "--set", f"classifier.model=@dir/{name}")
    return Case(f"model {name}", arguments, 69, (f"model {name}: ", f"@dir/{name}", *says))


def broker(port: str, keys: str, *says: str) -> Case:
    sinks = f"sinks: [{{type: mqtt, host: 127.0.0.1, port: {port}{keys}}}]"
    arguments = ("check", "--live", "--config", "@dir/agent.yaml", "--set", A_FILE, *CHEERFUL)
    says = (f"sink mqtt: NOT OK: MQTT broker 127.0.0.1:{port}: ", *says)
    return Case(f"broker {port}", arguments, 69, says, sinks, apart=True)


CASES = [
    sound("empty.wav", "is empty"),
    sound("empty.wav", "is empty", command="segment"),
    sound("none.wav", "holds no samples"),
    sound("none.wav", "holds no samples", command="segment"),
    sound("zeros.wav", "holds only silence"),
    sound("nan.wav", "samples that are no numbers"),
    sound("nan.wav", "samples that are no numbers", command="segment"),
    sound("infinite.wav", "samples that are no numbers"),
    sound("cut-in-the-header.wav", "not an audio file that can be read: ", "No 'data' chunk"),
    sound("odd-rate.wav", "header is damaged: 2000000000 Hz"),
    sound("damaged.flac", "damaged after ", "lost sync"),
    sound("text.wav", "not an audio file that can be read: Format not recognised"),
    sound("text.wav", "not an audio file that can be read", command="segment"),
    sound("nowhere.wav", "no such file or directory"),
    sound("nowhere.wav", "no such file or directory", command="segment"),
    sound("empty.wav/inside.wav", "not a directory"),
    sound("loop.wav", "too many levels of symbolic links"),
    sound("folder", "a folder without audio files", ".wav"),
    sound("pipe.wav", "is not a regular file"),
    sound("minutes.wav", "longer than 60 s: use --segment"),
    sound("blink.wav", "shorter than 0.1 s"),
    Case("no name", ("classify", ""), 69, ("the name of a file is empty",)),
    config("a typo", "vad:\n  agressiveness: 2\n", ":2", "did you mean 'aggressiveness'?"),
    config("a tab", "vad:\n\tthreshold: 0.5\n", ":2", "a tab: YAML is indented with blanks only"),
    config("a wrong type", "sinks:\n- {type: mqtt,\n   port: x}\n", ":3", "sinks.0.port: expected a whole number"),
    config(
        "one of two types", "source: {device: [1]}\n", ":1", "source.device: expected a text or a whole number"
    ),
    config("a key that stands twice", "site: den\nsite: attic\n", ":2", "'site' stands twice (first in line 1)"),
    config("out of range", "\nvad: {threshold: 7}\n", ":2", "vad.threshold: ", "less than or equal to 1, not 7"),
    config("an unset variable", "site: ${NOT_SET_HERE}\n", ":1", "no variable NOT_SET_HERE"),
    config("an unknown secret", "site: !secret word\n", ":1", "no secret 'word'", "secrets.yaml"),
    config("no mapping", "- site\n", ":1", "expected keys and values at the top"),
    config("an open bracket", "vad: {threshold: 1\n", ":2", "expected"),
    config("no text", b"site: caf\xe9\n", "", "not UTF-8 text"),
    config("an alias inside itself", "sinks: &a [*a]\n", ":1", "an alias inside what it stands for"),
    config("nesting without end", "a: " + 2_000 * "[", "", "nested too deeply"),
    config("nesting to no end", f"a: {99 * '['}{99 * ']'}", ":1", "nested too deeply"),
    Case("no such configuration", ("check", "-c", "@dir/no.yaml"), 78, ("@dir/no.yaml: no such configuration",)),
    Case("a folder for one", ("check", "-c", "@dir"), 78, ("@dir: is a folder, not a configuration file",)),
    Case("run", ("run", "-c", "@dir/agent.yaml"), 78, ("@dir/agent.yaml:1: sight: ",), "sight: x"),
    Case("show", ("config", "show", "-c", "@dir/agent.yaml"), 78, ("agent.yaml:1: sight: ",), "sight: x"),
    Case("classify", ("classify", "-c", "@dir/agent.yaml", "x.wav"), 78, ("yaml:1: sight: ",), "sight: x"),
    Case("segment", ("segment", "-c", "@dir/agent.yaml", "x.wav"), 78, ("yaml:1: sight: ",), "sight: x"),
    override("vad.treshold=1", "vad.treshold: unknown key: did you mean 'threshold'?"),
    override("vad.threshold=7", "vad.threshold: ", "less than or equal to 1, not 7"),
    override("vad.threshold", "expected KEY=VALUE, for example sinks.0.port=18883"),
    override("sinks.1.port=1", "the list has 1 items"),
    override("sinks=&a [*a]", "not a value of a configuration"),
    override("x={2020-01-01: 1}", "not a value of a configuration"),
    override("²=1", "²: unknown key"),
    override("sinks.0.password=[hunter2", "sinks.0.password: this is not a YAML value"),
    override("a=" + 2_000 * "[", "nested too deeply"),
    Case(
        "a device that is not there",
        ("run", "-c", "@dir/agent.yaml", *CHEERFUL),
        69,
        ("no microphone",),
        "source: {device: Blue Yeti}\nsinks: []\n",
        apart=True,
    ),
    model("nowhere", "there is no folder"),
    model("without-weights", "no weights"),
    model("pickled", "only as pytorch_model.bin"),
    broker("@absent", "", "connection refused"),
    broker("@guarded", ", username: agent, password: wrong horse", "refuses user name 'agent' or its password"),
    broker("@encrypted", ", tls: {ca_file: @dir/others.pem}", "its certificate is not accepted"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bad things."""
    folder = tmp_path_factory.mktemp("bad")
    write_bad_ones(folder, read_utterance(CLIP))
    for name in ("without-weights", "pickled"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text('{"model_type": "wav2vec2"}')
        (folder / name / "preprocessor_config.json").write_text("{}")
    (folder / "pickled" / "pytorch_model.bin").write_bytes(b"pickle")
    return folder


@pytest.fixture(scope="module")
def absent() -> Iterator[int]:
    """A port without a broker, which nobody else gets meanwhile."""
    with socket.socket() as taken:  # bound, and never listening
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def guarded(mosquitto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a broker that wants a password."""
    with protected(mosquitto, tmp_path_factory.mktemp("guarded"), "correct horse") as broker:
        yield broker.port


@pytest.fixture(scope="module")
def encrypted(mosquitto: str, folder: Path) -> Iterator[int]:
    """The port of a broker whose certificate is signed by an authority of our own."""
    make_certificate(make_authority(folder, "ours"), "broker", "IP:127.0.0.1")
    make_authority(folder, "others")
    with Mosquitto(mosquitto, folder, tls_settings(folder)) as broker:
        yield broker.port


@pytest.fixture
def in_place(folder: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """What stands for ``@dir`` and, where the case asks for it, for a port."""
    case: Case = request.node.callspec.params["case"]
    ports = [name for name in ("absent", "guarded", "encrypted") if f"@{name}" in str(case.config)]
    return {"@dir": str(folder)} | {f"@{name}": str(request.getfixturevalue(name)) for name in ports}


def filled_in(text: str, values: dict[str, str]) -> str:
    for token, value in values.items():
        text = text.replace(token, value)
    return text


@pytest.mark.timeout(LIMIT_S)
@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_what_is_wrong_is_told_in_one_message(
    ser_agent: Command, folder: Path, in_place: dict[str, str], case: Case
) -> None:
    if "model" in case.what:
        pytest.importorskip("torch")
    content = case.config if isinstance(case.config, bytes) else filled_in(case.config, in_place).encode()
    (folder / "agent.yaml").write_bytes(content)
    arguments = [filled_in(argument, in_place) for argument in case.arguments]
    outcome = apart(*arguments) if case.apart else ser_agent(*arguments)
    told = [line for line in (outcome.out + outcome.err).splitlines() if line.startswith("ser-agent: ")]
    told += [line for line in outcome.out.splitlines() if "NOT OK" in line]
    assert len(told) == 1, outcome
    for part in case.says:
        assert filled_in(part, in_place) in told[0]
    assert outcome.code == case.code
    assert "Traceback" not in outcome.out + outcome.err


def apart(*arguments: str) -> Outcome:
    done = ser_agent_process(*arguments, timeout_s=LIMIT_S)
    return Outcome(done.returncode, done.stdout, done.stderr)
