"""The configuration on the command line: where it is found, what is shown of it, whether it is valid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import pytest
import yaml

from ser_agent.cli import settings

if TYPE_CHECKING:
    from support.command_line import Command

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config" / "ser-agent.yaml"


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /etc, which tests must not touch."""
    folder = tmp_path / "etc"
    (folder / "ser-agent").mkdir(parents=True)
    monkeypatch.setattr(settings, "SYSTEM_FOLDER", folder)
    return folder


def configured(folder: Path, text: str) -> Path:
    path = folder / "ser-agent" / "ser-agent.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_is_the_file_in_the_repository(ser_agent: Command) -> None:
    outcome = ser_agent("config", "example")
    assert (outcome.code, outcome.out) == (0, EXAMPLE.read_text(encoding="utf-8"))


def test_the_schema_accepts_the_example_and_refuses_mistakes(ser_agent: Command) -> None:
    schema = json.loads(ser_agent("config", "schema").out)
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    example = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    validator.validate(example)
    for mistake in ({"sight": "den"}, {"site": "Living Room"}, {"vad": {"type": "cascade", "threshold": 7}}):
        assert not validator.is_valid(example | mistake), mistake


def test_without_a_configuration_the_defaults_are_shown(ser_agent: Command) -> None:
    outcome = ser_agent("config", "show")
    assert outcome.code == 0
    assert yaml.safe_load(outcome.out) == yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))


def test_what_is_in_force_is_shown_without_its_secrets(
    ser_agent: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER", "broker.secret.lan")
    (tmp_path / "secrets.yaml").write_text("word: hunter2\n", encoding="utf-8")
    sinks = "sinks: [{type: mqtt, host: '${BROKER}', username: ser, password: !secret word}]\n"
    file = configured(tmp_path, sinks)
    (tmp_path / "secrets.yaml").rename(file.parent / "secrets.yaml")
    outcome = ser_agent("config", "show", "-c", file, "--set", "site=den", "--set", "sinks.0.username=rough")
    assert outcome.code == 0
    assert "hunter2" not in outcome.out
    assert "secret.lan" not in outcome.out
    shown = yaml.safe_load(outcome.out)
    assert (shown["site"], shown["sinks"][0]["username"]) == ("den", "rough")


def test_a_valid_configuration_is_said_to_be_and_where_it_is(ser_agent: Command, tmp_path: Path) -> None:
    file = configured(tmp_path, "site: den\n")
    outcome = ser_agent("check", "--config", file)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"configuration: valid ({file})\n", "")


def test_an_invalid_one_ends_with_78_and_every_mistake_on_a_line(ser_agent: Command, tmp_path: Path) -> None:
    file = configured(tmp_path, "sight: den\nvad: {threshold: 7}\n")
    outcome = ser_agent("check", "-c", file)
    assert (outcome.code, outcome.out) == (78, "")
    assert outcome.err == (
        f"ser-agent: {file}:1: sight: unknown key: did you mean 'site'?\n"
        f"{file}:2: vad.threshold: input should be less than or equal to 1, not 7\n"
    )


def test_the_users_own_file_comes_before_the_systems(ser_agent: Command, home: Path, etc: Path) -> None:
    assert ser_agent("check").out == "configuration: valid (defaults)\n"
    systems = configured(etc, "site: system\n")
    assert ser_agent("check").out == f"configuration: valid ({systems})\n"
    own = configured(home / ".config", "site: own\n")
    assert ser_agent("check").out == f"configuration: valid ({own})\n"


def test_what_is_named_comes_before_both(ser_agent: Command, home: Path, tmp_path: Path) -> None:
    configured(home / ".config", "site: own\n")
    named = configured(tmp_path, "site: named\n")
    assert yaml.safe_load(ser_agent("config", "show", "-c", named).out)["site"] == "named"


def test_a_home_without_xdg_has_it_under_dot_config(
    ser_agent: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    own = configured(home / ".config", "site: own\n")
    assert ser_agent("check").out == f"configuration: valid ({own})\n"


def test_a_services_file_that_this_user_may_not_read_is_passed_over_and_told(
    ser_agent: Command, etc: Path
) -> None:
    loop = etc / "ser-agent" / "ser-agent.yaml"
    loop.symlink_to(loop.name)  # root, too, cannot read it
    outcome = ser_agent("check")
    assert (outcome.code, outcome.out) == (0, "configuration: valid (defaults)\n")
    assert outcome.err == f"ser-agent: passed over {loop}: too many levels of symbolic links\n"


def test_a_configuration_can_come_out_of_a_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ser_agent", "config", "show", "-c", "/dev/stdin"],
        input="site: piped\n",
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert yaml.safe_load(done.stdout)["site"] == "piped"
