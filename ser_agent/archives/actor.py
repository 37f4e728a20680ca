"""What runs on the nodes of a cluster: a hearer behind the signature that Ray Data calls."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from ser_agent import process
from ser_agent.archives.hearing import Hearer
from ser_agent.errors import SerAgentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ser_agent.archives.job import Job


class HearingActor:
    """Hears one part after the other. Nothing of the sound leaves it; its log goes home with the rows."""

    def __init__(self, job: Job) -> None:
        """Start. Nothing is loaded before there is something to hear.

        Args:
            job: how to hear.
        """
        process.confine()
        self._job = job
        self._hearer: Hearer | None = None
        self._told = _Collector()
        package = logging.getLogger("ser_agent")
        package.handlers[:] = [self._told]
        package.propagate = False  # Ray keeps what a node prints in files: no recording's name belongs there
        package.setLevel(job.log_level)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Answer parts.

        Args:
            batch: columns: ``part``, a number; ``files``, a list of names as JSON.

        Returns:
            Columns: ``part``; ``answer``, JSON as ``Answer`` describes it. JSON, because a name need not be UTF-8.
        """
        answers = [json.dumps(self._answer(json.loads(files))) for files in batch["files"]]
        return {"part": [int(part) for part in batch["part"]], "answer": answers}

    def _answer(self, files: list[str]) -> dict[str, Any]:
        try:
            self._hearer = self._hearer or Hearer(self._job)
            return {"rows": self._hearer.rows(files), "log": self._told.taken(), "failure": None}
        except SerAgentError as error:
            # Not raised: Ray would tell it with a traceback, and without its class.
            return {"rows": [], "log": self._told.taken(), "failure": [str(error), error.exit_code]}


class _Collector(logging.Handler):
    """Keeps what is logged until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append((record.name, record.levelno, record.getMessage()))

    def taken(self) -> list[tuple[str, int, str]]:
        taken, self._kept = self._kept, []
        return taken
