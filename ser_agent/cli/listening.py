"""Files to utterances, for the commands that need no agent."""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ser_agent.archives.cutting import as_one, cut
from ser_agent.audio import Utterance
from ser_agent.audio_files import find_audio_files, read_utterance, stream_file
from ser_agent.errors import AudioFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ser_agent.app import Workshop
    from ser_agent.audio import Samples

log = logging.getLogger(__name__)

AHEAD = 8
"""Files that are decoded before somebody wants them, at most."""


class FileReader:
    """Goes through files with a progress bar on a terminal; what cannot be used is told and passed over."""

    def __init__(self, files: Sequence[str]) -> None:
        self.failures = 0
        self._paths: list[Path] = []
        for file in files:
            try:
                self._paths += _named(file)
            except AudioFileError as error:
                self._fail(error)

    def whole(self) -> Iterator[tuple[Path, Utterance]]:
        """Each file as one utterance."""
        for path, decoded in self._decoded_ahead():
            try:
                samples = decoded.result()
            except AudioFileError as error:
                self._fail(error)
                continue
            yield path, as_one(samples)

    def segmented(self, workshop: Workshop) -> Iterator[tuple[Path, Utterance]]:
        """Each file cut into utterances."""
        endpointer = workshop.endpointer()
        for path in self._each():
            failures, found = self.failures, 0
            for output in cut(stream_file(path), endpointer, self._fail):
                if isinstance(output, Utterance):
                    found += 1
                    yield path, output
            if not found and self.failures == failures:
                log.info("%s: no speech in it", path)

    def _decoded_ahead(self) -> Iterator[tuple[Path, Future[Samples]]]:
        """Each file with its sound, in order; threads decode what comes next, a bounded number of files."""
        waiting: deque[tuple[Path, Future[Samples]]] = deque()
        workers = ThreadPoolExecutor(len(os.sched_getaffinity(0)), "decode")
        try:
            for path in self._each():
                waiting.append((path, workers.submit(read_utterance, path)))
                if len(waiting) > AHEAD:
                    yield waiting.popleft()
            yield from waiting
        finally:
            workers.shutdown(cancel_futures=True)

    def _each(self) -> Iterator[Path]:
        console = Console(stderr=True)
        if not console.is_terminal or len(self._paths) <= 1:  # a hidden bar may still end with an empty line
            yield from self._paths
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        # On a terminal the output is printed above the bar; what goes elsewhere must not be led there.
        shared = sys.stdout.isatty()
        with Progress(*columns, console=console, transient=True, redirect_stdout=shared) as progress:
            yield from progress.track(self._paths, description="listening")

    def _fail(self, error: AudioFileError) -> None:
        self.failures += 1
        print(f"ser-agent: {error}", file=sys.stderr)


def _named(file: str) -> list[Path]:
    if not file:  # a variable that was not set: Path("") would be the current folder
        raise AudioFileError("the name of a file is empty")
    return find_audio_files([Path(file)])
