"""What visitors give: decoded within the limits, and deleted before anything is said about it."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ser_agent.audio import SAMPLE_RATE
from ser_agent.audio_files import one_utterance, stream_file
from ser_agent.errors import AudioFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.audio import Samples

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it


class Uploads:
    """The folder in which the web framework puts what visitors send, in memory where the system has that."""

    def __init__(self) -> None:
        """Make it, for this user alone; its name tells the process."""
        parent = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix=f"ser-agent-{os.getpid()}-", dir=parent)).resolve()

    @property
    def size(self) -> int:
        """How much is in it, bytes."""
        found = 0
        for path in self.folder.rglob("*"):
            try:
                found += path.stat().st_size if path.is_file() else 0
            except FileNotFoundError:  # deleted meanwhile
                continue
        return found

    def take(self, path: str, longest_s: float, too_long: str) -> Samples:
        """Decode a file that a visitor sent; afterwards it is gone, whatever came of it.

        Args:
            path: where the framework put it.
            longest_s: the longest recording, seconds.
            too_long: what to say of a longer one.

        Returns:
            int16 mono 16 kHz, shape ``(n,)``.

        Raises:
            AudioFileError: it is none of ours, cannot be decoded, is too long, or holds silence only. The message
                doesn't name the folder.
        """
        file = Path(path).resolve()
        if not self._is_ours(file):
            raise AudioFileError("that is no uploaded file")
        try:
            return _decoded(file, longest_s, too_long)
        except AudioFileError as error:
            raise AudioFileError(str(error).replace(f"{file}: ", "")) from None
        finally:
            self.forget(file)

    def forget(self, file: Path) -> None:
        """Delete a file and the folder that the framework made for it; nothing where it is none of ours."""
        if not self._is_ours(file.resolve()):
            return
        file.unlink(missing_ok=True)
        if file.parent != self.folder:
            shutil.rmtree(file.parent, ignore_errors=True)

    def _is_ours(self, file: Path) -> bool:
        return file != self.folder and file.is_relative_to(self.folder)

    def sweep(self) -> None:
        """Delete the empty files that the framework makes beside the folders of those that were sent."""
        for path in self.folder.iterdir():
            if not path.is_dir():
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def uploads() -> Iterator[Uploads]:
    """A folder for uploads, from now until the end."""
    made = Uploads()
    try:
        yield made
    finally:
        made.close()


def _decoded(file: Path, longest_s: float, too_long: str) -> Samples:
    length = 0

    def within() -> Iterator[Samples]:
        nonlocal length
        for block in stream_file(file):
            length += len(block)
            if length > longest_s * SAMPLE_RATE:
                raise AudioFileError(too_long)
            yield block

    return one_utterance(file, within(), longest_s, too_long)
