"""``ser-agent classify --ray``: the same of an archive, on a Ray cluster."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ser_agent import logs
from ser_agent.cli.record_lines import line
from ser_agent.cli.settings import load_settings
from ser_agent.errors import (
    EX_OK,
    AudioFileError,
    ClassificationError,
    ConfigError,
    MissingExtraError,
    SerAgentError,
    UnavailableError,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ser_agent.archives.cluster import Answer
    from ser_agent.archives.records import Row
    from ser_agent.archives.store import Store

log = logging.getLogger(__name__)

SILENCE = {
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # what matters is raised
    "RAY_DEDUP_LOGS": "0",  # what it keeps back to count would come out at the very end, unguarded
    "RAY_USAGE_STATS_ENABLED": "0",  # of a cluster that is started here: nothing is told to anybody
}
"""Environment that Ray reads as it is imported."""


def execute(args: argparse.Namespace) -> int:
    """Have recordings heard on a cluster; print a line for each utterance, or keep the rows in a folder."""
    os.environ.update(SILENCE)
    try:
        from ser_agent.archives import cluster, job, store
    except ImportError as error:
        missing = error.name or "ray"
        if missing.startswith("ser_agent"):
            raise
        raise MissingExtraError("an archive on Ray", "ray", missing) from error
    loaded = load_settings(args)
    logs.set_up(loaded.config.log.level)
    how = job.make_job(loaded, segment=args.segment, top=args.top)
    found = _Found()
    found.look(args.files)
    kept = store.Store(args.out, args.format or "jsonl") if args.out else None
    done = kept.open(job.answers_depend_on(loaded, how)) if kept else store.Done(frozenset(), 0, 0)
    files = [file for file in found.files if store.spelt(file) not in done.files]
    if len(files) < len(found.files):
        log.info("%d of %d files are answered already", len(found.files) - len(files), len(found.files))
    failures = found.failures + done.failures
    output = sys.stdout
    if files:
        with cluster.connected(args.ray):
            parts = cluster.share_out(how, files, done.next_number)
            answers = cluster.answers(how, parts)
            if kept or not output.isatty():  # lines on a terminal show the progress themselves
                answers = _tracked(answers, parts)
            for number, rows in _heard(answers, parts, in_order=kept is None):
                failures += _keep(kept, number, rows) if kept else _tell(rows, args, output)
    return AudioFileError.exit_code if failures else EX_OK


@dataclass(slots=True)
class _Found:
    """The recordings that were named, each once, and how often there were none."""

    files: list[str] = field(default_factory=list)
    failures: int = 0

    def look(self, names: Sequence[str]) -> None:
        """Look for them; what cannot be looked for is told and passed over."""
        from ser_agent.archives.places import find_recordings

        found: dict[str, None] = {}
        for name in names:
            try:
                found.update(dict.fromkeys(find_recordings(name)))
            except AudioFileError as error:
                self.failures += 1
                _complain(str(error))
        self.files = list(found)


def _heard(
    answers: Iterable[tuple[int, Answer]], parts: Mapping[int, Sequence[str]], *, in_order: bool
) -> Iterator[tuple[int, list[Row]]]:
    """The rows of each part, once; in the order of their numbers where that is wanted."""
    waiting: dict[int, list[Row]] = {}
    outstanding = dict.fromkeys(sorted(parts))
    for number, answer in answers:
        for name, level, message in answer["log"]:
            logging.getLogger(name).log(level, "%s", message)
        if answer["failure"] is not None:
            raise _failure(*answer["failure"])
        if number not in outstanding or number in waiting:
            continue
        waiting[number] = answer["rows"]
        ready = [number]
        if in_order:
            ready = []
            for first in outstanding:
                if first not in waiting:
                    break
                ready.append(first)
        for one in ready:
            del outstanding[one]
            yield one, waiting.pop(one)
    if outstanding:
        raise UnavailableError(f"the Ray cluster left {len(outstanding)} parts unanswered")


def _failure(message: str, exit_code: int) -> SerAgentError:
    """The error that a node met, as if it had been met here."""
    kinds: tuple[type[SerAgentError], ...] = (UnavailableError, ConfigError)
    kind = next((kind for kind in kinds if kind.exit_code == exit_code), ClassificationError)
    return kind(message)


def _tell(rows: Iterable[Row], args: argparse.Namespace, output: TextIO) -> int:
    """Print rows as ``classify`` does; how many of them tell of something wrong."""
    from ser_agent.archives.records import as_record

    failures = 0
    for row in rows:
        if row["error"] is not None:
            failures += 1
            _complain(row["error"])
        elif row["start_s"] is not None:
            print(line(as_record(row), as_json=args.jsonl, segment=args.segment), file=output, flush=True)
    return failures


def _keep(store: Store, number: int, rows: Sequence[Row]) -> int:
    """Keep a part; how many of its rows tell of something wrong."""
    store.write(number, rows)
    errors = [row["error"] for row in rows if row["error"] is not None]
    for error in errors:
        _complain(error)
    return len(errors)


def _tracked(
    answers: Iterable[tuple[int, Answer]], parts: Mapping[int, Sequence[str]]
) -> Iterator[tuple[int, Answer]]:
    """The answers, with a progress bar on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from answers
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("listening", total=sum(map(len, parts.values())))
        for number, answer in answers:
            progress.advance(task, len(parts[number]))
            yield number, answer


def _complain(message: str) -> None:
    print(f"ser-agent: {message}", file=sys.stderr)
