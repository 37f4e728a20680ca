"""The folder that an archive's answers are kept in: parts that are there wholly or not at all."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import fs

from ser_agent.archives.formats import FORMATS
from ser_agent.archives.places import located, reason
from ser_agent.errors import ConfigError, SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ser_agent.archives.records import Row

SETTINGS = "_archive.json"
OBJECT_STORES = {"abfs", "gcs", "s3"}
"""There a file appears when it is complete, and renaming is copying."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a store holds already.

    Attributes:
        files: recordings that are answered, as ``spelt``.
        failures: how many of their rows tell of something wrong.
        next_number: of the next part.
    """

    files: frozenset[str]
    failures: int
    next_number: int


class Store:
    """Parts ``part-000000.jsonl`` …, and ``_archive.json``, which says how they were made."""

    def __init__(self, where: str, format_name: str) -> None:
        """Find the place. Nothing is made there yet.

        Args:
            where: a path or a URI; need not exist.
            format_name: ``jsonl`` or ``parquet``.

        Raises:
            UnavailableError: there is no such file system.
        """
        self._where = where
        self._system, folder = located(where)
        self._folder = folder.rstrip("/")
        self._format = FORMATS[format_name]
        self._format_name = format_name
        self._part = re.compile(rf"part-(\d{{6,}})\.{format_name}")

    def open(self, settings: Mapping[str, Any]) -> Done:
        """Make the folder, or take up what an earlier run has left in it.

        Args:
            settings: what the answers depend on: an archive's answers are all of the same.

        Raises:
            ConfigError: the folder holds answers of other settings, or what is no archive.
            SinkError: it cannot be made, read or written.
        """
        wanted = json.loads(json.dumps({"format": self._format_name, **settings}))
        with self._telling():
            self._system.create_dir(self._folder, recursive=True)
            names = {
                info.base_name: info.path for info in self._system.get_file_info(fs.FileSelector(self._folder))
            }
        if SETTINGS in names:
            self._compare(wanted, self._read(names[SETTINGS]))
        elif any(name.startswith("part-") for name in names):
            raise ConfigError(f"{self._where}: holds parts, but no {SETTINGS}: take another folder")
        else:
            self._put(SETTINGS, json.dumps(wanted, indent=2, ensure_ascii=False).encode() + b"\n")
        return self._done({name: path for name, path in names.items() if self._part.fullmatch(name)})

    def write(self, number: int, rows: Sequence[Row]) -> None:
        """Keep a part. Until it is complete, nobody finds it.

        Raises:
            SinkError: it cannot be written.
        """
        readable: list[Row] = [{**row, "file": spelt(row["file"]), "error": _spelt(row["error"])} for row in rows]
        self._put(f"part-{number:06}.{self._format_name}", self._format.dump(readable))

    def _compare(self, wanted: dict[str, Any], content: bytes) -> None:
        try:
            there = json.loads(content)
            differing = sorted(key for key in wanted.keys() | there.keys() if wanted.get(key) != there.get(key))
        except (ValueError, AttributeError) as error:
            raise ConfigError(f"{self._where}/{SETTINGS}: is damaged: {error}") from error
        if differing:
            raise ConfigError(
                f"{self._where}: holds answers of other settings ({', '.join(differing)}): take another folder"
            )

    def _done(self, parts: Mapping[str, str]) -> Done:
        files: set[str] = set()
        failures, last = 0, -1
        for name, path in parts.items():
            try:
                rows = list(self._format.files(self._read(path)))
            except (ValueError, KeyError, TypeError, pa.ArrowException) as error:
                raise SinkError(
                    f"{self._where}/{name}: is damaged: remove it, and what it held is heard again"
                ) from error
            files.update(file for file, _ in rows)
            failures += sum(failed for _, failed in rows)
            last = max(last, int(name.partition("-")[2].partition(".")[0]))
        return Done(frozenset(files), failures, last + 1)

    def _read(self, path: str) -> bytes:
        with self._telling(), self._system.open_input_stream(path) as stream:
            return bytes(stream.read())

    def _put(self, name: str, content: bytes) -> None:
        target = f"{self._folder}/{name}"
        direct = self._system.type_name in OBJECT_STORES
        written = target if direct else f"{self._folder}/.{name}.unfinished"
        with self._telling():
            with self._system.open_output_stream(written) as stream:
                stream.write(content)
            if not direct:
                self._system.move(written, target)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise SinkError(f"{self._where}: {reason(error)}") from error


def spelt(name: str) -> str:
    """A recording's name as it is kept: bytes of it that are not UTF-8 are written with a backslash."""
    return name.encode("utf-8", "backslashreplace").decode()


def _spelt(text: str | None) -> str | None:
    return None if text is None else spelt(text)
