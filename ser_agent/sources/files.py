"""Audio files as a source: in real time, or as fast as the classifier goes, with the same events either way."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE, AudioFrame, Samples
from ser_agent.audio_files import find_audio_files, stream_file
from ser_agent.errors import AudioFileError, SourceError
from ser_agent.options import PluginOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ser_agent.ports import PluginContext

log = logging.getLogger(__name__)

FRAME_SAMPLES = 2 * HOP_SAMPLES


class FilesOptions(PluginOptions):
    """Keys of the files source."""

    type: Literal["files"] = "files"
    paths: tuple[str, ...] = Field(min_length=1)
    """Files, or folders of them, played one after the other."""
    realtime: bool = False
    """Play at the speed of a microphone, rather than as fast as the classifier goes."""
    loop: bool = False
    """Begin anew at the end."""


class FilesSource:
    """Audio files, one after the other; no utterance spans two of them."""

    Options = FilesOptions
    live = False

    def __init__(self, options: FilesOptions, context: PluginContext) -> None:
        self._options = options
        self._context = context
        self._paths: list[Path] = []
        self._closed = threading.Event()
        self._opened_at = 0.0

    @property
    def in_real_time(self) -> bool:
        """Whether somebody listens as to a microphone, so that answers are wanted soon."""
        return self._options.realtime

    def open(self) -> None:
        """See whether the files are there.

        Raises:
            SourceError: one is not, or a folder holds none.
        """
        self._closed.clear()
        paths = [self._context.base_dir / path for path in self._options.paths]
        if faults := [fault for path in paths if (fault := _fault_of(path))]:
            raise SourceError("; ".join(faults))
        self._paths = find_audio_files(paths)
        self._opened_at = time.monotonic()

    def frames(self) -> Iterator[AudioFrame]:
        """Yield the files' frames. A file that cannot be read is told and passed over.

        Raises:
            SourceError: none of them could be read.
        """
        offset = 0
        while True:
            before = offset
            for path in self._paths:
                for frame in self._frames_of(path, offset):
                    if not self._wait_for(frame):
                        return
                    yield frame
                    offset = frame.offset + len(frame.samples)
            if offset == before:
                raise SourceError("none of the files holds sound that can be read")
            if not self._options.loop or self._closed.is_set():
                return

    def close(self) -> None:
        """End ``frames``."""
        self._closed.set()

    def _frames_of(self, path: Path, offset: int) -> Iterator[AudioFrame]:
        starts = True
        try:
            for block in stream_file(path):
                for samples in _cut(block):
                    yield AudioFrame(samples, offset, self._opened_at + offset / SAMPLE_RATE, starts_stream=starts)
                    offset += len(samples)
                    starts = False
        except AudioFileError as error:
            log.warning("passed over: %s", error)

    def _wait_for(self, frame: AudioFrame) -> bool:
        """In real time wait until the frame's last sample has been heard; False once closed."""
        if not self._options.realtime:
            return not self._closed.is_set()
        heard_at = frame.captured_at + frame.duration_s
        return not self._closed.wait(max(0.0, heard_at - time.monotonic()))


def _fault_of(path: Path) -> str | None:
    """Why a file or folder cannot be had."""
    try:
        path.stat()
    except OSError as error:
        return f"{path}: {(error.strerror or str(error)).lower()}"
    except ValueError as error:  # a name that no file can have
        return f"{str(path)!r}: {error}"
    return None


def _cut(block: Samples) -> Iterator[Samples]:
    for start in range(0, len(block), FRAME_SAMPLES):
        yield block[start : start + FRAME_SAMPLES]
