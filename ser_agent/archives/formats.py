"""The files that an archive's answers are kept in: JSON lines or Parquet, rows in, bytes out, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa
from pyarrow import parquet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ser_agent.archives.records import Row

SCHEMA: Final = pa.schema(
    [
        ("file", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("emotion", pa.string()),
        ("confidence", pa.float64()),
        ("emotions", pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())]))),
        ("error", pa.string()),
    ]
)


class Format(Protocol):
    """How rows are written. What is damaged raises ``ValueError``."""

    def dump(self, rows: Sequence[Row]) -> bytes:
        """A file's content."""
        ...

    def files(self, content: bytes) -> Iterator[tuple[str, bool]]:
        """Of each row of a file, the recording, and whether there was something wrong with it."""
        ...


class JsonLines:
    """One JSON object a line."""

    def dump(self, rows: Sequence[Row]) -> bytes:
        """A file's content, in UTF-8."""
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()

    def files(self, content: bytes) -> Iterator[tuple[str, bool]]:
        """Of each row, the recording and whether there was something wrong."""
        for line in content.decode().splitlines():
            row = json.loads(line)
            yield row["file"], row["error"] is not None


class Parquet:
    """A table in Parquet."""

    def dump(self, rows: Sequence[Row]) -> bytes:
        """A file's content."""
        sink = pa.BufferOutputStream()
        parquet.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), sink)
        return bytes(sink.getvalue().to_pybytes())

    def files(self, content: bytes) -> Iterator[tuple[str, bool]]:
        """Of each row, the recording and whether there was something wrong."""
        table: Any = parquet.read_table(pa.BufferReader(content), columns=["file", "error"])
        for row in table.to_pylist():
            yield row["file"], row["error"] is not None


FORMATS: Final[Mapping[str, Format]] = {"jsonl": JsonLines(), "parquet": Parquet()}
