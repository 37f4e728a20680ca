"""What a worker decides: what it takes on, what it answers at once, and what has come of everything."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ser_agent.audio import Utterance, overwrite
from ser_agent.buffer import Closed
from ser_agent.fleet.reading import is_sound, read_ask
from ser_agent.fleet.tasks import Memory, Task
from ser_agent.fleet_fields import WireError
from ser_agent.fleet_wire import Reply, decode_sound
from ser_agent.pipeline.waiting import UtteranceQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ser_agent.audio import Samples
    from ser_agent.fleet_wire import FleetTopics
    from ser_agent.sinks.mqtt_work import Delivery

log = logging.getLogger(__name__)

MOST_S: Final = 960.0
"""Sound that may wait here, seconds: 29 MiB. Brokers keep to the receive maximum, mosquitto 2.0.11 not quite."""
MOST_WAITING: Final = 100_000
UNDECODABLE: Final = "undecodable"

Count: TypeAlias = Literal["asked", "duplicates", "ignored", "answered", "non_speech", "failed", "expired", "shed"]


@dataclass(frozen=True, slots=True)
class Letter:
    """An answer on its way.

    Attributes:
        task: what it answers.
        reply: the answer.
        again: it was given before, to the same question.
    """

    task: Task
    reply: Reply
    again: bool = False


@dataclass(frozen=True, slots=True)
class Beginning:
    """Utterances that are about to be classified.

    Attributes:
        replies: what is to be said of that, each with its task.
        told: to be set once it has been said; set before where nobody waits for that any more.
    """

    replies: Sequence[Letter]
    told: threading.Event


class Desk:
    """Takes in what the broker delivers, and holds the answers ready to be sent.

    It belongs to the connection's thread, but for ``take``, ``begin`` and ``answer``, which belong to the one that
    classifies, and ``close``, which anybody may call.

    Attributes:
        counts: ``asked`` is the sum of the outcomes (answered, non_speech, failed, expired, shed) and of what is
            in work. ``duplicates``, asked before, and ``ignored``, not to be answered, come on top.
        letters: answers to send, in order.
        beginnings: what to tell as begun with, in order.
    """

    def __init__(self, topics: FleetTopics, worker: str, wake: Callable[[], None]) -> None:
        """Begin with nothing to do.

        Args:
            topics: the fleet's.
            worker: name of this one.
            wake: tells the connection's thread that something was handed in. Never waits.
        """
        self.counts: Counter[str] = Counter()
        self.letters: deque[Letter] = deque()
        self.beginnings: deque[Beginning] = deque()
        self._topics = topics
        self._worker = worker
        self._wake = wake
        self._memory = Memory()
        self._waiting = UtteranceQueue(MOST_WAITING, MOST_S)
        self._tasks: dict[Utterance, Task] = {}
        self._handed_in: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._told: set[str] = set()

    @property
    def idle(self) -> bool:
        """Whether all that was asked has come to something."""
        return not self._memory.open and not self.letters and self._handed_in.empty()

    def receive(self, delivery: Delivery) -> None:
        """Take in a message."""
        ask = read_ask(delivery, self._topics)
        if ask is None:
            self.counts["ignored"] += 1
            self._warn_once("a message is no utterance of the site that it is for, and is ignored")
            delivery.acknowledge()
            return
        task = Task(replace(ask, payload=b""), time.monotonic() + ask.expires_in_s, [delivery.acknowledge])
        if self._is_known(task):
            self.counts["duplicates"] += 1
            return
        self._memory.open[task.key] = task
        if task.expired:
            self._drop(task, "expired")
        elif is_sound(delivery.headers):
            self._take_on(task, ask.payload)
        else:
            self._reply(task, self._undecodable(task))
        self.counts["asked"] += 1  # last: who sees it counted finds it waiting

    def take_in(self) -> None:
        """See to what the other thread handed in."""
        while not self._handed_in.empty():
            self._handed_in.get()()

    def settle(self, letter: Letter) -> None:
        """Note that the broker has an answer."""
        letter.task.done()
        if not letter.again and letter.reply.state != "taken":
            self._close(letter.task, letter.reply.state)

    def give_up(self, letter: Letter) -> None:
        """Note that an answer would come too late."""
        letter.task.done()
        if not letter.again:
            self._close(letter.task, "expired")

    def take(self, most: int, timeout_s: float) -> dict[Utterance, Task]:
        """Utterances of like length to classify, the oldest among them.

        Args:
            most: how many at most.
            timeout_s: longest wait for the first one, seconds.

        Raises:
            Closed: nothing more will come.
        """
        taken = {utterance: self._tasks.pop(utterance) for utterance in self._waiting.take(most, timeout_s)}
        expired = [utterance for utterance, task in taken.items() if task.expired]
        overwrite(expired)
        for utterance in expired:
            self._hand_in(partial(self._drop, taken.pop(utterance), "expired"))
        return taken

    def begin(self, tasks: Iterable[Task], timeout_s: float) -> None:
        """Tell that these are begun with, and wait for that to be sent: who dies of one must have said so."""
        replies = [Letter(task, Reply(task.ask.id, "taken", self._worker)) for task in tasks]
        beginning = Beginning(replies, threading.Event())
        self._hand_in(partial(self.beginnings.append, beginning))
        beginning.told.wait(timeout_s)
        beginning.told.set()

    def answer(self, task: Task, reply: Reply) -> None:
        """Hand in an answer."""
        self._hand_in(partial(self._reply, task, reply))

    def close(self) -> None:
        """Let nothing more be taken, and nothing stay of what waits: somebody else will be asked."""
        self._waiting.close()
        with contextlib.suppress(Closed):
            while True:
                overwrite(self._waiting.take(MOST_WAITING, 0.0))

    def _hand_in(self, note: Callable[[], None]) -> None:
        self._handed_in.put(note)
        self._wake()

    def _is_known(self, task: Task) -> bool:
        """See to a question that is in work already, or was answered lately."""
        in_work = self._memory.open.get(task.key)
        if in_work is not None:
            in_work.join(task)
            return True
        reply = self._memory.answer_to(task.ask)
        if reply is not None:
            self.letters.append(Letter(task, reply, again=True))
        return reply is not None

    def _take_on(self, task: Task, payload: bytes) -> None:
        try:
            samples = decode_sound(payload)
        except WireError as error:
            self._warn_once(f"an utterance cannot be decoded: {error}")
            self._reply(task, self._undecodable(task))
            return
        utterance = _utterance(samples, task.ask.site)
        self._tasks[utterance] = task
        dropped = self._waiting.put(utterance)
        overwrite(dropped)
        for other in dropped:
            self._drop(self._tasks.pop(other), "shed")

    def _undecodable(self, task: Task) -> Reply:
        return Reply(task.ask.id, "failed", self._worker, reason=UNDECODABLE)

    def _reply(self, task: Task, reply: Reply) -> None:
        self._memory.remember(task.ask, reply)
        self.letters.append(Letter(task, reply))

    def _drop(self, task: Task, outcome: Count) -> None:
        task.done()
        self._close(task, outcome)

    def _close(self, task: Task, outcome: Count) -> None:
        self.counts[outcome] += 1
        del self._memory.open[task.key]

    def _warn_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            log.warning("%s", text)


def _utterance(samples: Samples, site: str) -> Utterance:
    now_s = time.monotonic()
    return Utterance(samples, 0, "silence", captured_at=now_s, closed_at=now_s, site=site)
