from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ser_agent import config_text
from ser_agent.config import Loaded, load
from ser_agent.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def loaded(folder: Path, text: str, *overrides: str) -> Loaded:
    path = folder / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, overrides)


def test_every_default_works() -> None:
    config = load().config
    assert config.site == "home"
    assert (config.source.type, config.vad.type, config.classifier.type) == ("microphone", "cascade", "wav2vec2")
    assert [sink.type for sink in config.sinks] == ["mqtt"]


def test_a_section_need_not_say_its_default_type(tmp_path: Path) -> None:
    config = loaded(tmp_path, "vad: {threshold: 0.6}\nclassifier: {min_confidence: 0.55}\n").config
    assert (config.vad.type, config.vad.threshold) == ("cascade", 0.6)
    assert config.classifier.min_confidence == 0.55


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        pytest.param("sight: den\n", ["agent.yaml:1: sight: unknown key: did you mean 'site'?"], id="a typo"),
        pytest.param(
            "vad:\n  agressiveness: 2\n",
            ["agent.yaml:2: vad.agressiveness: unknown key: did you mean 'aggressiveness'?"],
            id="a typo in a plugin",
        ),
        pytest.param(
            "sinks:\n  - type: mqtt\n    tls:\n      cafile: x\n",
            ["agent.yaml:4: sinks.0.tls.cafile: unknown key: did you mean 'ca_file'?"],
            id="a typo deep inside",
        ),
        pytest.param(
            "sinks:\n  - type: mqqt\n",
            ["agent.yaml:2: sinks.0: unknown type 'mqqt': did you mean 'mqtt'?"],
            id="an unknown plugin",
        ),
        pytest.param("sinks:\n  - port: 1\n", ["agent.yaml:2: sinks.0: the key 'type' is missing"], id="no type"),
        pytest.param(
            "sinks:\n  - {type: mqtt, port: abc}\n",
            ["agent.yaml:2: sinks.0.port: expected a whole number, not 'abc'"],
            id="a wrong type",
        ),
        pytest.param(
            "vad:\n  threshold: '0.5'\n",
            ["agent.yaml:2: vad.threshold: expected a number, not '0.5'"],
            id="a quoted number",
        ),
        pytest.param(
            "segmenter: {hangover_ms: -1}\n",
            ["agent.yaml:1: segmenter.hangover_ms: input should be greater than or equal to 32, not -1"],
            id="out of range",
        ),
        pytest.param(
            "site: Living Room\n",
            ["agent.yaml:1: site: string should match pattern '^[a-z0-9_-]+$', not 'Living Room'"],
            id="no slug",
        ),
        pytest.param(
            "classifier:\n  prior: [sad]\n",
            ["agent.yaml:2: classifier.prior: expected `trained`, `home`, or a number above 0 for each label"],
            id="neither a word nor proportions",
        ),
        pytest.param("vad: webrtc\n", ["agent.yaml:1: vad: expected keys and values, not 'webrtc'"], id="no keys"),
        pytest.param(
            "log: {level: loud}\n",
            ["agent.yaml:1: log.level: expected 'debug', 'info', 'warning' or 'error', not 'loud'"],
            id="none of the words",
        ),
        pytest.param(
            "site: UP\nstats_interval_s: x\n",
            ["agent.yaml:1: site: ", "agent.yaml:2: stats_interval_s: expected a number, not 'x'"],
            id="two at once, in the order of the file",
        ),
    ],
)
def test_a_mistake_is_told_by_file_line_and_key(tmp_path: Path, text: str, mistakes: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(mistakes)
    for line, mistake in zip(lines, mistakes, strict=True):
        assert mistake in line


def test_one_key_is_set_from_the_command_line(tmp_path: Path) -> None:
    config = loaded(tmp_path, "site: den\n", "sinks.0.port=18883", "vad.threshold=0.7", "site=attic").config
    assert config.sinks[0].model_dump()["port"] == 18883
    assert (config.vad.threshold, config.site) == (0.7, "attic")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("site", "expected KEY=VALUE"),
        ("sinks.3.port=1", "the list has 1 items"),
        ("site.name=x", "holds a value, not keys"),
        ("vad.treshold=1", "vad.treshold: unknown key: did you mean 'threshold'?"),
        ("sinks=[", "is not a YAML value"),
    ],
)
def test_a_wrong_override_is_told(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "site: den\n", override)
    assert message in str(caught.value)


def test_secrets_are_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER", "broker.secret.lan")
    (tmp_path / "secrets.yaml").write_text("word: hunter2\n", encoding="utf-8")
    text = "sinks:\n  - {type: mqtt, host: '${BROKER}', username: ser, password: !secret word}\n"
    settings = loaded(tmp_path, text)
    shown = config_text.show(settings)
    assert "hunter2" not in shown
    assert "broker.secret.lan" not in shown
    assert shown.count(config_text.MASK) == 2
    assert "hunter2" not in repr(settings)


def test_a_secret_of_the_wrong_type_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("word: hunter2\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "sinks:\n  - {type: mqtt, port: !secret word}\n")
    assert "hunter2" not in str(caught.value)
    assert "the value is a secret" in str(caught.value)


@pytest.mark.parametrize(
    "sink", ["{type: mqtt, password: hunter2}", "{type: mqtt, username: u, password: [hunter2]}"]
)
def test_a_password_is_not_told_either(tmp_path: Path, sink: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f"sinks:\n  - {sink}\n")
    assert "hunter2" not in str(caught.value)


def test_the_digest_tells_configurations_apart_but_not_their_secrets(tmp_path: Path) -> None:
    first = config_text.digest(loaded(tmp_path, "sinks: [{type: mqtt, username: u, password: one}]\n"))
    second = config_text.digest(loaded(tmp_path, "sinks: [{type: mqtt, username: u, password: two}]\n"))
    third = config_text.digest(loaded(tmp_path, "site: den\n"))
    assert first == second != third


def test_the_example_in_the_repository_is_what_the_code_says() -> None:
    assert (ROOT / "config" / "ser-agent.yaml").read_text(encoding="utf-8") == config_text.example()


def test_the_example_is_the_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, config_text.example()).config == load().config


def test_what_is_shown_can_be_read_again(tmp_path: Path) -> None:
    shown = yaml.safe_load(config_text.show(load()))
    assert loaded(tmp_path, yaml.safe_dump(shown)).config == load().config


def test_the_schema_knows_every_section_and_plugin() -> None:
    schema = json.loads(config_text.schema())
    assert set(schema["properties"]) >= {"site", "source", "vad", "segmenter", "classifier", "sinks", "log"}
    assert set(schema["properties"]["vad"]["discriminator"]["mapping"]) == {
        "cascade",
        "energy",
        "silero",
        "webrtc",
    }
