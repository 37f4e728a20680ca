"""Keeping what was said as files: off unless somebody turns it on, told to everybody, and never for long."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

from ser_agent.audio import SAMPLE_RATE
from ser_agent.buffer import BoundedQueue, Closed
from ser_agent.errors import UnavailableError
from ser_agent.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.audio import Samples

log = logging.getLogger(__name__)

WAITING = 4
SWEEP_S = 60.0
"""How often the folder is looked through while nobody speaks."""
CLOSE_S = 3.0
DAY_S = 86_400.0
MEGABYTE = 1_000_000
_OURS = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}\.wav")
"""A file named after an event. Others in the folder are left alone."""


class RecordingOptions(Options):
    """Keys of the recording of utterances."""

    folder: str = Field(min_length=1)
    """Where each utterance is kept as a WAV file, named after its event."""
    max_age_days: float = Field(default=7.0, gt=0.0, le=3650.0)
    """What is older is deleted."""
    max_megabytes: float = Field(default=500.0, gt=0.0)
    """When there is more, the oldest is deleted."""


def _off(value: Any) -> Any:  # noqa: ANN401 - whatever stands in the file
    """`off`, which YAML reads as false, is no recording."""
    return None if value in (False, "off") else value


Recording: TypeAlias = Annotated[RecordingOptions | None, BeforeValidator(_off)]


class Recorder:
    """Writes utterances in a thread of its own, and deletes what is too old or too much."""

    def __init__(self, options: RecordingOptions, base_dir: Path, clock: Callable[[], float] = time.time) -> None:
        """Prepare; see ``open``.

        Args:
            options: where and for how long.
            base_dir: folder that a relative one counts from.
            clock: the wall clock, seconds.
        """
        self._folder = base_dir / Path(options.folder).expanduser()
        self._options = options
        self._clock = clock
        self._waiting: BoundedQueue[tuple[str, Samples]] = BoundedQueue(WAITING)
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._complaint = ""

    def open(self) -> None:
        """Say so, and begin.

        Raises:
            UnavailableError: the folder cannot be written to.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.sweep()
        except OSError as error:
            raise UnavailableError(
                f"recording: {self._folder}: {(error.strerror or str(error)).lower()}"
            ) from error
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise UnavailableError(f"recording: {self._folder} cannot be written to")
        log.warning(
            "RECORDING IS ON: what is said is kept in %s for %g days, %g MB at most",
            self._folder,
            self._options.max_age_days,
            self._options.max_megabytes,
        )
        self._thread.start()

    def keep(self, event_id: str, samples: Samples) -> None:
        """Keep an utterance; returns at once. Where the disk does not keep up, the oldest waiting is dropped.

        Args:
            event_id: id of its event.
            samples: int16 mono 16 kHz, shape ``(n,)``.
        """
        dropped = self._waiting.put((event_id, samples.copy()))
        if dropped is not None:
            log.warning("the disk does not keep up: utterance %s is not recorded", dropped[0])
            dropped[1].fill(0)

    def close(self) -> None:
        """Write what waits, and end."""
        self._waiting.close()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def sweep(self) -> None:
        """Delete what is older than allowed, and the oldest of what is too much.

        Raises:
            OSError: the folder cannot be read, or a file in it not deleted.
        """
        files = sorted(
            (entry.stat().st_mtime, entry.stat().st_size, entry.path)
            for entry in os.scandir(self._folder)
            if _OURS.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        )
        oldest_allowed = self._clock() - self._options.max_age_days * DAY_S
        surplus = sum(size for _, size, _ in files) - self._options.max_megabytes * MEGABYTE
        for modified_at, size, path in files:
            if modified_at >= oldest_allowed and surplus <= 0:
                break
            Path(path).unlink(missing_ok=True)
            surplus -= size

    def _work(self) -> None:
        with contextlib.suppress(Closed):
            while True:
                item = self._waiting.get(SWEEP_S)
                try:
                    if item is not None:
                        self._write(*item)
                    self.sweep()
                    self._complaint = ""
                except OSError as error:
                    self._complain(str(error))

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            self._complaint = complaint
            log.error("recording: %s", complaint)

    def _write(self, event_id: str, samples: Samples) -> None:
        path = self._folder / f"{event_id}.wav"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as raw, wave.open(raw, "wb") as file:
                file.setparams((1, samples.itemsize, SAMPLE_RATE, len(samples), "NONE", "not compressed"))
                file.writeframes(samples.tobytes())
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        finally:
            samples.fill(0)
