from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ser_agent.errors import ConfigError
from ser_agent.yaml_file import parse_scalar, read_document

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, text: str, name: str = "agent.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_are_known_for_every_key_and_item(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, "site: den\nsinks:\n  - type: mqtt\n    port: 1\n"))
    assert document.data == {"site": "den", "sinks": [{"type": "mqtt", "port": 1}]}
    assert document.lines[("sinks", 0, "port")] == 4
    assert document.where(("sinks", 0, "absent")).endswith("agent.yaml:3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "site: a\nsite: b\n", r"agent.yaml:2: key 'site' stands twice \(first in line 1\)", id="twice"
        ),
        pytest.param("vad:\n\ttype: webrtc\n", r"agent.yaml:2: a tab: YAML is indented with blanks", id="tab"),
        pytest.param("- a\n- b\n", r"agent.yaml:1: expected keys and values at the top", id="list"),
        pytest.param("site: [a\n", r"agent.yaml:2: ", id="unclosed"),
        pytest.param("? [a]\n: b\n", r"agent.yaml:1: a key must be a plain word", id="odd key"),
        pytest.param(
            "site: ${NO_SUCH_VARIABLE}\n", r"agent.yaml:1: the environment has no variable", id="variable"
        ),
        pytest.param("site: !secret nowhere\n", r"agent.yaml:1: no secret 'nowhere' in ", id="secret"),
        pytest.param(
            "site: !!python/name:os.system\n", r"agent.yaml:1: could not determine a constructor", id="tag"
        ),
        pytest.param("a: &a [*a]\n", r"agent.yaml:1: ", id="alias of itself"),
        pytest.param("a: 2026-99-99\n", r"agent.yaml:1: month must be in 1..12", id="impossible date"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_document(write(tmp_path, text))


def test_aliases_that_grow_without_end_are_refused(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8)
    )
    with pytest.raises(ConfigError, match="more than 10000 values"):
        read_document(write(tmp_path, bomb))


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_bytes(b"site: \xff\xfe\n")
    with pytest.raises(ConfigError, match=r"not UTF-8 text \(byte 6\)"):
        read_document(path)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_document(tmp_path)


def test_variables_and_secrets_are_filled_in_and_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER", "mq")
    write(tmp_path, "broker_password: hunter2\n", "secrets.yaml")
    text = "host: ${BROKER}.lan\npassword: !secret broker_password\nplain: $${BROKER}\n"
    document = read_document(write(tmp_path, text))
    assert document.data == {"host": "mq.lan", "password": "hunter2", "plain": "${BROKER}"}
    assert document.secret == {("host",), ("password",)}


def test_a_systemd_credential_comes_before_the_secrets_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    write(credentials, "from-systemd\n", "broker_password")
    write(tmp_path, "broker_password: from-file\n", "secrets.yaml")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    document = read_document(write(tmp_path, "password: !secret broker_password\n"))
    assert document.data == {"password": "from-systemd"}


def test_an_empty_file_is_an_empty_document(tmp_path: Path) -> None:
    assert read_document(write(tmp_path, "# nothing\n")).data == {}


def test_values_of_the_command_line_are_yaml() -> None:
    assert [parse_scalar(text) for text in ("18883", "true", "[a, b]", "null", "x y")] == [
        18883,
        True,
        ["a", "b"],
        None,
        "x y",
    ]
    with pytest.raises(ConfigError, match="is not a YAML value"):
        parse_scalar("[a")
