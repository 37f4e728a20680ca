"""What outlives the process, and what becomes of it when its file is broken, taken, or cannot be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ser_agent.state import MAX_BYTES, StateFile, make_folder, state_file, state_folder


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_facts_outlive_the_one_who_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "state.json"
    first = StateFile(path)
    first.write("controls", {"listening": False})
    first.write("mqtt", {"site": "attic"})
    first.close()
    second = StateFile(path)
    assert second.read("controls") == {"listening": False}
    assert second.read("mqtt") == {"site": "attic"}
    assert second.read("nothing") == {}
    second.close()
    assert path.stat().st_mode & 0o077 == 0, "nobody else may read it"


def test_without_a_file_facts_live_as_long_as_the_process() -> None:
    state = StateFile()
    state.write("controls", {"listening": False})
    assert state.read("controls") == {"listening": False}
    state.close()
    state.close()


@pytest.mark.parametrize(
    "broken",
    [b"", b"{", b"[]", b'{"controls": 1}', b"\xff\xfe", b"[" * 60_000, b'{"a": {}}' + b" " * MAX_BYTES],
    ids=["empty", "cut off", "a list", "no sections", "not UTF-8", "nested deeply", "too long"],
)
def test_a_broken_file_is_told_of_and_kept_and_the_defaults_hold(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: bytes
) -> None:
    path = written(tmp_path / "state.json", broken)
    state = StateFile(path)
    if broken.startswith(b'{"a"'):
        assert "broken" not in caplog.text, "blanks behind it do no harm"
    else:
        assert f"{path} is broken, the defaults hold" in caplog.text
        assert (tmp_path / "state.broken").read_bytes() == broken
    assert state.read("controls") == {}
    state.write("controls", {"listening": True})
    state.close()
    assert json.loads(path.read_text())["controls"] == {"listening": True}


def test_a_write_that_fails_leaves_the_old_file_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.json"
    state = StateFile(path)
    state.write("controls", {"listening": False})
    (tmp_path / "state.new").mkdir()  # where the new content would go
    state.write("controls", {"listening": True})
    assert "cannot be written, so this ends with the process: is a directory" in caplog.text
    assert state.read("controls") == {"listening": True}
    assert json.loads(path.read_text())["controls"] == {"listening": False}
    state.close()


def test_a_folder_that_cannot_be_made_is_told_and_facts_live_as_long_as_the_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(tmp_path / "file", "no folder")
    state = StateFile(tmp_path / "file" / "state.json")
    state.write("controls", {"listening": False})
    assert "so nothing outlives this process: " in caplog.text
    assert state.read("controls") == {"listening": False}


def test_a_second_process_with_the_same_file_remembers_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.json"
    first = StateFile(path)
    first.write("controls", {"listening": False})
    second = StateFile(path)
    assert f"another agent uses {path}" in caplog.text
    assert second.read("controls") == {}
    second.write("controls", {"listening": True})
    assert json.loads(path.read_text())["controls"] == {"listening": False}
    first.close()
    third = StateFile(path)
    assert third.read("controls") == {"listening": False}
    third.close()


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"STATE_DIRECTORY": "/var/lib/one:/var/lib/two", "HOME": "/h"}, Path("/var/lib/one")),
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, Path("/s/ser-agent")),
        ({"HOME": "/h"}, Path("/h/.local/state/ser-agent")),
        ({"XDG_STATE_HOME": "", "HOME": ""}, None),
        ({}, None),
    ],
)
def test_state_is_kept_where_systemd_or_xdg_says(environ: dict[str, str], folder: Path | None) -> None:
    assert state_folder(environ) == folder


def test_each_configuration_file_has_a_state_of_its_own(tmp_path: Path) -> None:
    kitchen, bedroom = (state_file(tmp_path / name / "ser-agent.yaml", tmp_path) for name in ("k", "b"))
    kitchen.write("controls", {"listening": False})
    assert bedroom.read("controls") == {}
    kitchen.close()
    bedroom.close()
    again = state_file(tmp_path / "k" / ".." / "k" / "ser-agent.yaml", tmp_path)
    assert again.read("controls") == {"listening": False}
    again.close()


def test_without_a_home_nothing_is_remembered_and_that_is_told(caplog: pytest.LogCaptureFixture) -> None:
    state_file(Path("ser-agent.yaml"), None).write("controls", {})
    assert "neither STATE_DIRECTORY nor HOME is set" in caplog.text


def test_every_folder_that_it_makes_is_its_owners_alone_and_one_that_is_there_stays_as_it_is(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o755)
    make_folder(tmp_path / "deep" / "deeper")
    make_folder(tmp_path)
    modes = [
        folder.stat().st_mode & 0o777 for folder in (tmp_path, tmp_path / "deep", tmp_path / "deep" / "deeper")
    ]
    assert modes == [0o755, 0o700, 0o700]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_folder(tmp_path / "file" / "in it")
