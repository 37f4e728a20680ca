"""Who hears parts of an archive: loads detector and classifier once, and answers with rows."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from ser_agent import __version__
from ser_agent.app import Workshop
from ser_agent.archives.cutting import as_one, cut
from ser_agent.archives.places import sound
from ser_agent.archives.records import as_row, nothing, record
from ser_agent.audio import Utterance
from ser_agent.audio_files import MAX_UTTERANCE_S, one_utterance
from ser_agent.errors import AudioFileError, UnavailableError
from ser_agent.ports import Unanswered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ser_agent.archives.job import Job
    from ser_agent.archives.records import Row
    from ser_agent.endpointing import Endpointer
    from ser_agent.ports import Answer

log = logging.getLogger(__name__)

BATCH = 16
"""Utterances that the classifier gets at a time, and recordings whose sound is in memory at most."""
READERS = 4
"""Recordings that are read at the same time: a distant one is waited for rather than computed."""

_Finding: TypeAlias = "tuple[str, Utterance | AudioFileError | None]"
"""A recording with one of its utterances, with what is wrong with it, or with nothing: nobody speaks in it."""


class Hearer:
    """Hears recordings as a job says."""

    def __init__(self, job: Job) -> None:
        """Load what is needed.

        Raises:
            UnavailableError: this node has another version of ser_agent.
            ModelError: the model cannot be had here.
            MissingExtraError: it needs packages that are not installed here.
        """
        if job.version != __version__:
            raise UnavailableError(
                f"a node has ser_agent {__version__}, and this one {job.version}: install the same on each"
            )
        loaded = job.loaded
        workshop, config = Workshop(loaded), loaded.config
        self._top = job.top
        self._classifier = workshop.classifier()
        self._threshold = self._classifier.load().threshold(config.classifier.min_confidence)
        self._endpointer = workshop.endpointer() if job.segment else None

    def rows(self, files: Sequence[str]) -> list[Row]:
        """Hear recordings.

        Args:
            files: paths or URIs.

        Returns:
            Of each file its rows, at least one: its utterances, and what is wrong with it.

        Raises:
            ClassificationError: the model failed.
        """
        findings = self._whole(files) if self._endpointer is None else self._segmented(files, self._endpointer)
        rows: list[Row] = []
        while batch := list(islice(findings, BATCH)):
            rows += self._answered(batch)
        return rows

    def _answered(self, batch: Sequence[_Finding]) -> Iterator[Row]:
        utterances = [found for _, found in batch if isinstance(found, Utterance)]
        answers = iter(self._classifier.classify(utterances) if utterances else ())
        for file, found in batch:
            if isinstance(found, Utterance):
                yield self._row(file, found, next(answers))
            else:
                yield nothing(file, None if found is None else str(found))

    def _row(self, file: str, utterance: Utterance, answer: Answer) -> Row:
        row = as_row(record(file, utterance, answer, self._threshold, self._top))
        if isinstance(answer, Unanswered):
            row["error"] = f"{file}: an utterance was not classified: {answer.reason}"
        return row

    def _whole(self, files: Sequence[str]) -> Iterator[_Finding]:
        remaining = iter(files)
        with ThreadPoolExecutor(READERS, "read") as readers:
            while some := list(islice(remaining, BATCH)):
                yield from zip(some, readers.map(_read, some), strict=True)

    def _segmented(self, files: Sequence[str], endpointer: Endpointer) -> Iterator[_Finding]:
        for file in files:
            failures: list[AudioFileError] = []
            found = 0
            for output in cut(sound(file), endpointer, failures.append):
                if isinstance(output, Utterance):
                    found += 1
                    yield file, output
            if failures:
                yield file, failures[0]
            elif not found:
                log.info("%s: no speech in it", file)
                yield file, None


def _read(file: str) -> Utterance | AudioFileError:
    try:
        return as_one(one_utterance(file, sound(file), MAX_UTTERANCE_S, "use --segment to cut it into utterances"))
    except AudioFileError as error:
        return error
