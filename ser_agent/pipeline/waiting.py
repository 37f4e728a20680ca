"""Utterances that wait for the classifier: few of each site, little sound in all, and the newest speech wins."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ser_agent.buffer import Closable, Closed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.audio import Draft, Utterance

MOST_OF_A_SITE = 4
MOST_S = 240.0
"""Sound that may wait in all, seconds: 7.3 MiB."""
LIKE_LENGTH = 1.5
"""What goes to the classifier together differs in length by no more than that: it may have to pad."""


class UtteranceQueue(Closable):
    """A queue that a live source never waits for.

    ``put`` drops the oldest utterance of a site that has too many waiting, and the oldest of all while they hold
    too much sound. ``put_wait`` is for sources that can wait.
    """

    def __init__(self, most_of_a_site: int = MOST_OF_A_SITE, most_s: float = MOST_S) -> None:
        """Make an empty queue.

        Args:
            most_of_a_site: utterances of one site that may wait, at least 1.
            most_s: sound that may wait in all, seconds; a single longer utterance may, too.
        """
        super().__init__()
        self._waiting: list[Utterance] = []
        self._of_site: Counter[str | None] = Counter()
        self._seconds = 0.0
        self._drafts: dict[str | None, Draft] = {}
        self._most_of_a_site = most_of_a_site
        self._most_s = most_s

    def put(self, utterance: Utterance) -> list[Utterance]:
        """Add an utterance without ever waiting; on a closed queue it is itself what is dropped.

        Returns:
            What was dropped.
        """
        with self._changed:
            if self._closed:
                return [utterance]
            dropped = []
            if self._of_site[utterance.site] >= self._most_of_a_site:
                dropped.append(self._remove(self._oldest(lambda waiting: waiting.site == utterance.site)))
            while self._waiting and self._seconds + utterance.duration_s > self._most_s:
                dropped.append(self._remove(0))
            self._append(utterance)
            return dropped

    def put_wait(self, utterance: Utterance, timeout_s: float | None = None) -> bool:
        """Add an utterance, waiting for room.

        Returns:
            False where there was no room in time or the queue is closed: it was not added.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(utterance), timeout_s)
            if self._closed or not self._has_room(utterance):
                return False
            self._append(utterance)
            return True

    def offer(self, draft: Draft) -> None:
        """Show how far an utterance has come: of each site the latest waits, until its utterance is put."""
        with self._changed:
            if not self._closed:
                self._drafts[draft.utterance.site] = draft
                self._changed.notify_all()

    def take_draft(self) -> Draft | None:
        """Take the draft that has waited the longest; None where there is none. Utterances go first."""
        with self._changed:
            if self._waiting or not self._drafts:
                return None
            return self._drafts.pop(next(iter(self._drafts)))

    def take(self, most: int, timeout_s: float) -> list[Utterance]:
        """Take the oldest utterance, and with it the oldest others of like length.

        Args:
            most: how many at most.
            timeout_s: longest wait for the first one, seconds.

        Returns:
            What was taken, oldest first; nothing where none came in time, or a draft is there.

        Raises:
            Closed: nothing more will come.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting or self._drafts, timeout_s)
            if not self._waiting:
                if self._closed:
                    raise Closed
                return []
            length = len(self._waiting[0].samples)
            shortest, longest = length / LIKE_LENGTH, length * LIKE_LENGTH
            like = [i for i, other in enumerate(self._waiting) if shortest <= len(other.samples) <= longest]
            taken = [self._remove(index) for index in reversed(like[:most])]
            self._changed.notify_all()
            return taken[::-1]

    def __len__(self) -> int:
        """Utterances that wait."""
        with self._changed:
            return len(self._waiting)

    def _has_room(self, utterance: Utterance) -> bool:
        is_short = not self._waiting or self._seconds + utterance.duration_s <= self._most_s
        return is_short and self._of_site[utterance.site] < self._most_of_a_site

    def _oldest(self, wanted: Callable[[Utterance], bool]) -> int:
        return next(index for index, waiting in enumerate(self._waiting) if wanted(waiting))

    def _append(self, utterance: Utterance) -> None:
        self._drafts.pop(utterance.site, None)
        self._waiting.append(utterance)
        self._of_site[utterance.site] += 1
        self._seconds += utterance.duration_s
        self._changed.notify_all()

    def _remove(self, index: int) -> Utterance:
        utterance = self._waiting.pop(index)
        self._of_site[utterance.site] -= 1
        if not self._of_site[utterance.site]:
            del self._of_site[utterance.site]
        self._seconds = self._seconds - utterance.duration_s if self._waiting else 0.0
        return utterance
