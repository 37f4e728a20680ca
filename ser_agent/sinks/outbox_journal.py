"""Keeps an outbox's events on disk as long as they wait, and in memory alone where the disk does not do."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import Counter
from typing import TYPE_CHECKING

from ser_agent.sinks.outbox_database import Database, Row, Unusable, is_spoiled, put_aside
from ser_agent.state import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ser_agent.sinks.mqtt_topics import Publication
    from ser_agent.sinks.outbox_clock import Clocks

log = logging.getLogger(__name__)


class Journal:
    """Follows what an outbox takes in and lets go of.

    ``note`` and ``forget`` only take notes and never wait, so they may be called under a lock; ``sync`` and
    ``tidy`` write them down. What cannot be written stays in memory, and is
    written as soon as that works again.

    Safe for use from several threads.

    Attributes:
        path: the file.
        restored: what waits from before, in order, once ``open`` has read it.
        losses: how much of what was found on disk is of no use, by reason.
    """

    def __init__(self, path: Path, owner: str, clocks: Clocks, objection: Callable[[Row], str | None]) -> None:
        """Prepare; nothing is opened yet.

        Args:
            path: the file.
            owner: who accepts events from now on.
            clocks: the machine's.
            objection: asked of each row that is read why it must not be delivered; None where it may.
        """
        self.path = path
        self.restored: list[Row] = []
        self.losses: Counter[str] = Counter()
        self._owner = owner
        self._clocks = clocks
        self._objection = objection
        self._database: Database | None = None
        self._in_trouble = False
        self._disk = threading.Lock()
        """Held while the file is used; and, for moments only, the other one while the notes are."""
        self._notes = threading.Lock()
        self._kept: dict[int, Row] = {}
        self._stored: set[int] = set()
        self._to_do: dict[int, Row | None] = {}

    def open(self) -> None:
        """Read what waits from before. A file that cannot be used is put aside; all that can be read of it stays.

        Where there is no using the disk, this says so, and events are kept in memory until the next opening.
        """
        with self._disk:
            try:
                make_folder(self.path.parent)
                self._restore()
            except (OSError, sqlite3.Error) as error:
                if not self._begin_anew(error):
                    self._complain(error, "; what waits there, if anything, waits for the next start")
                    self._drop_database()
        if self.losses:
            found = ", ".join(f"{count} {reason}" for reason, count in self.losses.items())
            log.warning("outbox %s: events set aside: %s", self.path, found)

    def _restore(self) -> None:
        self._database = Database(self.path, self._clocks)
        times_are_old = self._database.is_of_another_boot
        try:
            self._sort(self._database)
        finally:
            self._kept = {row.number: row for row in self.restored}
            self._stored = set(self._kept)
        if times_are_old:
            self._write(dict(self._kept))

    def _sort(self, database: Database) -> None:
        """Tell what may be delivered from what may not."""
        unusable: list[Unusable] = []
        for row in database.read():
            reason = row.reason if isinstance(row, Unusable) else self._objection(row)
            if reason is None and isinstance(row, Row):
                self.restored.append(row)
            else:
                unusable.append(Unusable(row.number, str(reason)))
                self.losses[str(reason)] += 1
        if unusable:
            database.set_aside(unusable)

    def _begin_anew(self, error: Exception) -> bool:
        """Put the file aside, and store what is known in a new one.

        Returns:
            False where that is of no help: the file is not to blame, or it is in the way.
        """
        if not isinstance(error, sqlite3.Error) or not is_spoiled(self.path, error):
            return False
        self._drop_database()
        with self._notes:
            self._stored.clear()
            self._to_do = dict(self._kept)
        try:
            aside = put_aside(self.path)
            self._database = Database(self.path, self._clocks)
        except (OSError, sqlite3.Error):
            return False
        with self._notes:
            known, self._to_do = self._to_do, {}
        log.error(
            "outbox %s cannot be used (%s): it is kept as %s, a new one begins with the %d events that are known",
            *(self.path, error, aside.name, len(known)),
        )
        self._write(known, anew=True)
        return True

    def note(self, ticket: int, item: Publication, accepted_s: float) -> None:
        """An event was accepted: it is to be stored."""
        row = Row(ticket, accepted_s, self._owner, item.topic, item.payload)
        with self._notes:
            self._kept[ticket] = row
            self._to_do[ticket] = row

    def forget(self, ticket: int) -> None:
        """An event has arrived or is lost: it is to be erased."""
        with self._notes:
            self._kept.pop(ticket, None)
            self._to_do.pop(ticket, None)
            if ticket in self._stored:
                self._to_do[ticket] = None

    def sync(self) -> None:
        """Write all notes down, so that they survive a power cut; return once that is done, or cannot be."""
        with self._disk:
            with self._notes:
                changes, self._to_do = self._to_do, {}
            self._write(changes)

    def tidy(self) -> None:
        """Erase what is to be erased; where something is to be stored, ``sync`` will see to both."""
        if not self._disk.acquire(blocking=False):
            return
        try:
            with self._notes:
                if any(self._to_do.values()):
                    return
                changes, self._to_do = self._to_do, {}
            self._write(changes)
        finally:
            self._disk.release()

    def _write(self, changes: dict[int, Row | None], *, anew: bool = False) -> None:
        """Change the file; what cannot be changed is to be done again."""
        if not changes:
            return
        with self._notes:
            fresh = {number for number, row in changes.items() if row is not None} - self._stored
            self._stored |= fresh
        try:
            if self._database is None:
                self._put_back(changes, fresh)
                return
            # An erasure that a power cut undoes has something delivered twice, which is allowed.
            self._database.apply(changes, durable=any(changes.values()))
        except sqlite3.Error as error:
            self._put_back(changes, fresh)
            if anew or not self._begin_anew(error):
                self._complain(error)
            return
        with self._notes:
            self._stored -= {number for number, row in changes.items() if row is None}
        if self._in_trouble:
            self._in_trouble = False
            log.warning("outbox %s: events are kept on disk again", self.path)

    def _put_back(self, changes: dict[int, Row | None], fresh: set[int]) -> None:
        with self._notes:
            self._stored -= fresh
            for number, row in changes.items():
                if row is None or number in self._kept:
                    self._to_do.setdefault(number, row)
                elif number in fresh:  # let go of meanwhile, and never stored
                    self._to_do.pop(number, None)

    def _complain(self, error: Exception, consequence: str = "") -> None:
        if not self._in_trouble:
            self._in_trouble = True
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            log.error(
                "outbox %s: %s: events are kept in memory alone, until the agent ends%s",
                *(self.path, reason, consequence),
            )

    def close(self) -> None:
        """Write down what can be, and close the file."""
        self.sync()
        with self._disk:
            self._drop_database()

    def _drop_database(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def holds(self, ticket: int) -> bool:
        """Whether an event is on disk."""
        with self._notes:
            return ticket in self._stored
