"""Events as lines of JSON, on standard output or in a file that is rotated."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ser_agent.errors import SinkError
from ser_agent.messages import AnyMessage, EmotionEvent
from ser_agent.options import PluginOptions
from ser_agent.sinks.stdout import discard_stdout

if TYPE_CHECKING:
    from ser_agent.ports import PluginContext

OWNER_ONLY = 0o600
"""Mode of new files: how somebody feels is nobody else's business."""


class JsonLinesOptions(PluginOptions):
    """Keys of the JSON-lines sink."""

    type: Literal["jsonlines"] = "jsonlines"
    """Write each event as one line of JSON."""
    path: str = Field(default="-", min_length=1)
    """File to append to; "-" is standard output."""
    max_bytes: int = Field(default=10 * 1024 * 1024, ge=0)
    """Rotate the file before it grows beyond this; 0 for never."""
    backups: int = Field(default=3, ge=0)
    """Rotated files to keep: path.1, the newest, to path.N."""


class RotatingFile:
    """A file that whole lines are appended to, and that is renamed before it grows too large."""

    def __init__(self, path: Path, *, max_bytes: int, backups: int) -> None:
        """Open for appending.

        Args:
            path: the file.
            max_bytes: bound of its size, 0 for none; a line longer than that gets a file of its own.
            backups: how many older files to keep.

        Raises:
            OSError: the file cannot be opened.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._file = self._open()
        self._is_torn = self._ends_within_a_line()

    def _ends_within_a_line(self) -> bool:
        """Whether the last line was torn, as by a power cut; then the next one needs an end before it."""
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            return False
        with contextlib.suppress(OSError), self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read() != b"\n"
        return False

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)

    def append(self, line: bytes) -> None:
        """Write a line, all of it or nothing.

        Raises:
            OSError: it could not be written.
        """
        status = os.fstat(self._file)
        regular = stat.S_ISREG(status.st_mode)
        size = status.st_size
        if regular and 0 < self._max_bytes < size + len(line) and size > 0:
            self._rotate()
            self._is_torn, size = False, 0
        line = b"\n" + line if self._is_torn else line
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError:
            if regular and written:
                os.ftruncate(self._file, size)
            raise
        self._is_torn = False

    def _backup(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _rotate(self) -> None:
        if self._path.exists():  # not where the disk was too full, the time before, to make the new file
            self._make_room()
        fresh = self._open()
        os.close(self._file)
        self._file = fresh

    def _make_room(self) -> None:
        for number in range(self._backups - 1, 0, -1):
            if self._backup(number).exists():
                self._backup(number).replace(self._backup(number + 1))
        if self._backups:
            self._path.replace(self._backup(1))
        else:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class JsonLinesSink:
    """Writes events of schema 1, compact and each at once; other messages are ignored."""

    Options = JsonLinesOptions

    def __init__(self, options: JsonLinesOptions, context: PluginContext) -> None:
        """Prepare; see ``open``."""
        self._options = options
        self._path = None if options.path == "-" else context.base_dir / Path(options.path).expanduser()
        self._file: RotatingFile | None = None
        self._is_open = False
        self._reader_gone = False

    def open(self) -> None:
        """Open the file.

        Raises:
            SinkError: it cannot be written.
        """
        if self._path is not None and self._file is None:
            options = self._options
            try:
                self._file = RotatingFile(self._path, max_bytes=options.max_bytes, backups=options.backups)
            except OSError as error:
                raise SinkError(f"{self._path} cannot be written: {error.strerror}") from error
        self._is_open = True

    def publish(self, message: AnyMessage) -> None:
        """Write an event.

        Raises:
            SinkError: it could not be written; the next one will be tried again.
        """
        if not isinstance(message, EmotionEvent):
            return
        if not self._is_open:
            raise SinkError("the JSON-lines sink is not open")
        line = json.dumps(message.model_dump(mode="json", by_alias=True), separators=(",", ":")) + "\n"
        try:
            self._write(line)
        except OSError as error:
            raise SinkError(f"{self._path or 'standard output'} cannot be written: {error.strerror}") from error

    def _write(self, line: str) -> None:
        if self._file is not None:
            self._file.append(line.encode())
            return
        if self._reader_gone:
            raise BrokenPipeError(0, "its reader has gone")
        try:
            sys.stdout.write(line)
            sys.stdout.flush()
        except BrokenPipeError:
            self._reader_gone = True
            discard_stdout()
            raise

    def flush(self, timeout_s: float) -> None:
        """Nothing waits: every event is written at once."""

    def close(self) -> None:
        """Close the file. May be called more than once."""
        self._is_open = False
        if self._file is not None:
            self._file.close()
            self._file = None

    def lost(self) -> int:
        """Nothing that was accepted is ever lost: what cannot be written is refused."""
        return 0
