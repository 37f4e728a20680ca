"""Where recordings lie and answers go: paths of this machine, and URIs that Arrow's file systems read."""

from __future__ import annotations

import io
import re
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import pyarrow as pa
from pyarrow import fs

from ser_agent.audio_files import SUFFIXES, find_audio_files, stream_file, stream_opened
from ser_agent.errors import AudioFileError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.audio import Samples

BUFFER_BYTES = 2**20
"""What is read of a distant recording at a time: each time is a request."""
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_uri(name: str) -> bool:
    """Whether a name is a URI rather than a path."""
    return _URI.match(name) is not None


@cache
def _file_system(root: str) -> tuple[Any, str]:
    """A file system, and what its paths begin with; kept, for making one may ask the network."""
    system, prefix = fs.FileSystem.from_uri(root)
    return system, prefix.rstrip("/")


def located(name: str) -> tuple[Any, str]:
    """The file system of a URI or a path, and what it is called there.

    Raises:
        UnavailableError: there is no such file system, or the URI tells a password.
    """
    if not is_uri(name):
        return fs.LocalFileSystem(), str(Path(name).absolute())
    parts = urlsplit(name)
    if parts.password:
        raise UnavailableError(
            f"{parts.scheme}://{parts.hostname or ''}/…: a secret in a URI is written into the answers: put it "
            "into the environment (AWS_SECRET_ACCESS_KEY …)"
        )
    try:
        system, prefix = _file_system(urlunsplit((parts.scheme, parts.netloc, "/", parts.query, "")))
    except (OSError, pa.ArrowException) as error:
        raise UnavailableError(f"{name}: {reason(error)}") from error
    return system, prefix + unquote(parts.path)


def find_recordings(name: str) -> list[str]:
    """The recordings that a path or a URI names: itself, or those below it in the order of their names.

    Returns:
        Absolute paths, or URIs. What does not exist is among them: hearing it will say so.

    Raises:
        AudioFileError: it is a folder without recordings, or cannot be looked into.
        UnavailableError: there is no such file system.
    """
    if not name:  # a variable that was not set: Path("") would be the current folder
        raise AudioFileError("the name of a file is empty")
    if not is_uri(name):
        return [str(path.absolute()) for path in find_audio_files([Path(name)])]
    system, path = located(name)
    try:
        if system.get_file_info(path or "/").type != fs.FileType.Directory:
            return [name]
        below = system.get_file_info(fs.FileSelector(path or "/", recursive=True))
    except (OSError, pa.ArrowException) as error:
        raise AudioFileError(f"{name}: {reason(error)}") from error
    found = sorted(info.path for info in below if info.type == fs.FileType.File and _is_audio(info.path))
    if not found:
        raise AudioFileError(f"{name}: a folder without audio files ({', '.join(sorted(SUFFIXES))})")
    parts = urlsplit(name)
    within = len(path) - len(unquote(parts.path))  # the part of the file system's paths that is no URI's path
    return [urlunsplit(parts._replace(path=quote(inside[within:]))) for inside in found]


def sound(name: str) -> Iterator[Samples]:
    """Decode a recording of any length.

    Yields:
        int16 mono 16 kHz, shape ``(n,)``, n at least 1.

    Raises:
        AudioFileError: it cannot be read, or holds no sound; the message names it and the reason.
    """
    if not is_uri(name):
        yield from stream_file(Path(name))
        return
    try:
        system, path = located(name)
        distant = _Distant(system.open_input_file(path))
    except (OSError, pa.ArrowException) as error:
        raise AudioFileError(f"{name}: {reason(error)}") from error
    except UnavailableError as error:
        raise AudioFileError(str(error)) from error
    with distant, io.BufferedReader(distant, BUFFER_BYTES) as raw:
        if distant.size == 0:
            raise AudioFileError(f"{name}: is empty")
        try:
            yield from stream_opened(name, raw)
        except AudioFileError:
            distant.complain(name)
            raise
        distant.complain(name)


def reason(error: Exception) -> str:
    """What an error of a file system says, on one line and without the rest of what it was about."""
    if isinstance(error, FileNotFoundError):
        return "no such file or directory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _is_audio(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in SUFFIXES


class _Distant(io.RawIOBase):
    """A file of an Arrow file system, for libsndfile: that takes an error while reading for the file's end."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - Arrow has no types
        super().__init__()
        self.size = int(file.size())
        self._file = file
        self._error: Exception | None = None

    def complain(self, name: str) -> None:
        """Tell what went wrong while it was read, if anything did.

        Raises:
            AudioFileError: something did.
        """
        if self._error is not None:
            raise AudioFileError(f"{name}: {reason(self._error)}") from self._error

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer
        try:
            return int(self._file.readinto(buffer))
        except (OSError, pa.ArrowException) as error:
            self._error = error
            return 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
