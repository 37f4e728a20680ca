"""The file in which an outbox outlives the process: SQLite, in its write-ahead mode.

Only what waits is in it: a row is erased, bytes and all, when its item has arrived or is given up. What cannot be
used is set aside in a table of its own; a file that cannot be used is put aside as a whole.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import zlib
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from ser_agent.sinks.outbox_clock import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from ser_agent.sinks.outbox_clock import Clocks

VERSION: Final = 1
LONGEST_PAYLOAD: Final = 65_536
HIGHEST_NUMBER: Final = 2**62
MOST_SET_ASIDE: Final = 100
CORRUPT: Final = "corrupt on disk"
STEP_S: Final = 1.0
"""A wall clock that has moved by more was set."""

_TABLES = f"""
CREATE TABLE IF NOT EXISTS waiting (number INTEGER PRIMARY KEY, accepted_s REAL, owner TEXT, topic TEXT,
  payload BLOB, checksum INTEGER);
CREATE TABLE IF NOT EXISTS clock (only INTEGER PRIMARY KEY CHECK (only = 1), boot_id TEXT, offset_s REAL);
CREATE TABLE IF NOT EXISTS set_aside (number INTEGER PRIMARY KEY AUTOINCREMENT, reason TEXT, topic BLOB,
  payload BLOB);
PRAGMA user_version = {VERSION};
"""
_SPOILED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
"""Result codes that say: this file will never do. Others, such as a full disk, may pass."""


class Row(NamedTuple):
    """One item as it is stored.

    Attributes:
        number: rises with every item.
        accepted_s: when it was accepted, in seconds of the present run of the machine.
        owner: who accepted it.
        topic: where it is to go.
        payload: what is to go there.
    """

    number: int
    accepted_s: float
    owner: str
    topic: str
    payload: bytes

    @property
    def checksum(self) -> int:
        """Tells a row whose bytes have changed."""
        head = f"{self.number} {self.accepted_s!r} {self.owner}\0{self.topic}\0".encode()
        return zlib.crc32(self.payload, zlib.crc32(head))


class Unusable(NamedTuple):
    """A row that is none.

    Attributes:
        number: of the row.
        reason: what is wrong with it.
    """

    number: int
    reason: str


def is_spoiled(path: Path, error: sqlite3.Error) -> bool:
    """Whether an error tells that the file itself is of no use, rather than the disk at the moment."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in _SPOILED or code == sqlite3.SQLITE_READONLY_DBMOVED:
        return True
    return path.exists() and not (path.is_file() and os.access(path, os.R_OK | os.W_OK))


class Database:
    """An open file. Not safe for use from several threads at once."""

    def __init__(self, path: Path, clocks: Clocks) -> None:
        """Open, or make, the file.

        Raises:
            sqlite3.Error: it cannot be used; see ``is_spoiled``.
        """
        self._clocks = clocks
        self._told: Reading | None = None
        self._path = path
        with contextlib.suppress(
            OSError
        ):  # SQLite would make it as the umask has it, and knows better what is wrong
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self._connection = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            with _errors_of_any_bytes():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise
        self._identity = _identity(path)

    def _prepare(self) -> None:
        connection = self._connection
        connection.text_factory = bytes  # else one byte that is not UTF-8 would hide its row and all behind it
        for pragma in ("journal_mode = WAL", "secure_delete = ON", "wal_autocheckpoint = 100"):
            connection.execute(f"PRAGMA {pragma}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in {0, VERSION}:
            raise _error(f"its format is {version}, of another version of ser-agent", sqlite3.SQLITE_NOTADB)
        if version == 0:
            connection.executescript(_TABLES)
        row = connection.execute("SELECT boot_id, offset_s FROM clock").fetchone()
        if row is not None and isinstance(row[0], bytes) and isinstance(row[1], float) and math.isfinite(row[1]):
            self._told = Reading(row[0].decode("ascii", errors="replace"), row[1])

    @property
    def is_of_another_boot(self) -> bool:
        """Whether its times are of another run of the machine; so it is until all its rows are stored anew."""
        return self._told is None or not self._told.boot_id or self._told.boot_id != self._clocks.boot_id

    def read(self) -> Iterator[Row | Unusable]:
        """What is stored, in order, with times in seconds of this run of the machine.

        Raises:
            sqlite3.Error: the rest cannot be read.
        """
        then = self._told
        yield from (
            self._as_row(raw, then)
            for raw in self._connection.execute(
                "SELECT number, accepted_s, substr(owner, 1, :most), substr(topic, 1, :most), "
                "substr(payload, 1, :most), checksum FROM waiting ORDER BY number",
                {"most": LONGEST_PAYLOAD + 1},
            )
        )

    def _as_row(self, raw: tuple[object, ...], then: Reading | None) -> Row | Unusable:
        match raw:
            case (int(number), float(accepted_s), bytes(owner), bytes(topic), bytes(payload), checksum) if (
                0 <= number < HIGHEST_NUMBER and math.isfinite(accepted_s) and len(payload) <= LONGEST_PAYLOAD
            ):
                texts = (owner.decode(errors="replace"), topic.decode(errors="replace"))
                row = Row(number, accepted_s, *texts, payload)
                if row.checksum == checksum:
                    return row._replace(accepted_s=self._clocks.translate(accepted_s, then))
        return Unusable(raw[0] if isinstance(raw[0], int) else -1, CORRUPT)

    def apply(self, changes: Mapping[int, Row | None], *, durable: bool = True) -> None:
        """Store some rows and erase others, all or none of them.

        Args:
            changes: by number, what is to be stored; None for what is to be erased.
            durable: return only when that would survive a power cut.

        Raises:
            sqlite3.Error: nothing has changed.
        """
        if _identity(self._path) != self._identity:  # SQLite would go on writing where nobody will ever look
            raise _error(f"{self._path.name} was moved or deleted", sqlite3.SQLITE_READONLY_DBMOVED)
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        with self._transaction() as execute:
            gone = [(number,) for number, row in changes.items() if row is None]
            execute.executemany("DELETE FROM waiting WHERE number = ?", gone)
            rows = [(*row, row.checksum) for row in changes.values() if row is not None]
            execute.executemany("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?, ?, ?)", rows)
            told = self._tell_time()
        self._told = told

    def _tell_time(self) -> Reading:
        now = self._clocks.reading()
        told = self._told
        if told is not None and told.boot_id == now.boot_id and abs(told.offset_s - now.offset_s) < STEP_S:
            return told
        self._connection.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?)", now)
        return now

    def set_aside(self, rows: Iterable[Unusable]) -> None:
        """Take rows out of the way; the latest hundred are kept for whoever wants to look.

        Raises:
            sqlite3.Error: nothing has changed.
        """
        with self._transaction() as execute:
            for number, reason in rows:
                execute.execute(
                    "INSERT INTO set_aside (reason, topic, payload) "
                    "SELECT ?, CAST(topic AS BLOB), substr(payload, 1, ?) FROM waiting WHERE number = ?",
                    (reason, LONGEST_PAYLOAD, number),
                )
                execute.execute("DELETE FROM waiting WHERE number = ?", (number,))
            execute.execute(
                "DELETE FROM set_aside WHERE number <= (SELECT max(number) FROM set_aside) - ?", (MOST_SET_ASIDE,)
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        cursor = self._connection.cursor()
        with closing(cursor):
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        cursor.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file; what was written in its write-ahead log goes into the file, and the log goes away."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _error(message: str, code: int) -> sqlite3.Error:
    error = sqlite3.DatabaseError(message)
    error.sqlite_errorcode = code
    return error


@contextmanager
def _errors_of_any_bytes() -> Iterator[None]:
    """Have SQLite's own error where its message quotes damaged bytes, which Python cannot decode.

    Raises:
        sqlite3.Error: that error.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise _error(error.object.decode(errors="replace"), sqlite3.SQLITE_CORRUPT) from error


def put_aside(path: Path) -> Path:
    """Keep a file that cannot be used under another name, over what was kept there before.

    Returns:
        That name.

    Raises:
        OSError: it cannot be renamed.
    """
    aside = path.with_name(f"{path.name}.broken")
    for suffix in ("-wal", "-shm", ""):
        old = path.with_name(path.name + suffix)
        with contextlib.suppress(FileNotFoundError):
            old.replace(aside.with_name(aside.name + suffix))
    return aside


def count_waiting(path: Path) -> int:
    """How many items a file holds, which may be in use.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    if not path.exists():
        return 0
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with _errors_of_any_bytes(), closing(sqlite3.connect(uri, uri=True, timeout=1.0)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if not version:
            return 0  # it is just being made
        (waiting,) = connection.execute("SELECT count(*) FROM waiting").fetchone()
        return int(waiting)
