"""The folder that an archive's answers are kept in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pyarrow")

from pyarrow import parquet

from ser_agent.archives.records import nothing
from ser_agent.archives.store import Store, spelt
from ser_agent.errors import ConfigError, SinkError

if TYPE_CHECKING:
    from pathlib import Path

    from ser_agent.archives.records import Row

SETTINGS = {"ser_agent": "1", "classifier": {"model": "embedded", "labels": None}, "top": 3}
FORMATS = pytest.mark.parametrize("format_name", ["jsonl", "parquet"])


def happy(file: str) -> Row:
    """A row of a sentence that was said happily."""
    return {
        "file": file,
        "start_s": 0.5,
        "end_s": 2.25,
        "emotion": "happy",
        "confidence": 0.8,
        "emotions": [{"label": "happy", "score": 0.8}, {"label": "sad", "score": 0.2}],
        "error": None,
    }


def read(folder: Path) -> list[dict[str, Any]]:
    """Every row, by what anybody would read it with."""
    rows: list[dict[str, Any]] = []
    for part in sorted(folder.glob("part-*")):
        if part.suffix == ".parquet":
            rows += parquet.read_table(part).to_pylist()
        else:
            rows += [json.loads(line) for line in part.read_text(encoding="utf-8").splitlines()]
    return rows


@FORMATS
def test_what_is_written_is_read_back_and_known_to_be_done(tmp_path: Path, format_name: str) -> None:
    folder = tmp_path / "deep" / "answers"
    store = Store(str(folder), format_name)
    done = store.open(SETTINGS)
    assert (done.files, done.failures, done.next_number) == (frozenset(), 0, 0)
    rows = [[happy("ä.wav"), happy("ä.wav"), nothing("b.wav")], [nothing("c.wav", "c.wav: is empty")]]
    for number, part in enumerate(rows):
        store.write(number, part)
    assert read(folder) == [*rows[0], *rows[1]]
    again = Store(folder.as_uri(), format_name).open(SETTINGS)
    assert (set(again.files), again.failures, again.next_number) == ({"ä.wav", "b.wav", "c.wav"}, 1, 2)


@FORMATS
def test_a_name_that_is_not_utf8_is_kept_and_known_again(tmp_path: Path, format_name: str) -> None:
    store = Store(str(tmp_path), format_name)
    store.open(SETTINGS)
    store.write(0, [nothing("\udcff.wav", "\udcff.wav: is empty")])
    assert spelt("\udcff.wav") in store.open(SETTINGS).files


def test_a_part_that_was_never_finished_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path), "jsonl")
    store.open(SETTINGS)
    store.write(0, [happy("a.wav")])

    class Dying:
        type_name = "local"

        open_output_stream = store._system.open_output_stream

        def move(self, *_: str) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_system", Dying())
    with pytest.raises(SinkError, match="no space left on device"):
        store.write(1, [happy("b.wav")])
    done = Store(str(tmp_path), "jsonl").open(SETTINGS)
    assert (set(done.files), done.next_number) == ({"a.wav"}, 1)
    assert [row["file"] for row in read(tmp_path)] == ["a.wav"]


def test_a_store_keeps_to_its_settings_and_names_those_that_differ(tmp_path: Path) -> None:
    Store(str(tmp_path), "jsonl").open(SETTINGS)
    with pytest.raises(ConfigError, match=r"holds answers of other settings \(classifier, top\)"):
        Store(str(tmp_path), "jsonl").open({**SETTINGS, "classifier": {"model": "other"}, "top": 1})
    with pytest.raises(ConfigError, match=r"\(format\)"):
        Store(str(tmp_path), "parquet").open(SETTINGS)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "part-000000.parquet").write_bytes(b"somebody's")
    with pytest.raises(ConfigError, match=r"holds parts, but no _archive\.json"):
        Store(str(tmp_path), "parquet").open(SETTINGS)
    (tmp_path / "_archive.json").write_text("[")
    with pytest.raises(ConfigError, match="is damaged"):
        Store(str(tmp_path), "parquet").open(SETTINGS)


@FORMATS
def test_a_damaged_part_is_told_by_name(tmp_path: Path, format_name: str) -> None:
    store = Store(str(tmp_path), format_name)
    store.open(SETTINGS)
    store.write(3, [happy("a.wav")])
    part = tmp_path / f"part-000003.{format_name}"
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(SinkError, match=rf"part-000003\.{format_name}: is damaged: remove it"):
        store.open(SETTINGS)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="file"):
        Store(str(tmp_path / "file" / "answers"), "jsonl").open(SETTINGS)
