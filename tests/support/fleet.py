"""A fleet: workers as processes, and satellites as threads."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from support.agent import START_S, STOP_S
from support.mqtt import wait_until
from support.obedient import ANSWER, SURE

from ser_agent.audio import SAMPLE_RATE, Utterance
from ser_agent.classifiers.remote import RemoteClassifier
from ser_agent.ports import NON_SPEECH, PluginContext, Unanswered
from ser_agent.sinks.mqtt_topics import DEFAULT_BASE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.mqtt import Heard, Listener

    from ser_agent.audio import Samples
    from ser_agent.ports import Answer

RETRY_MAX_S: Final = 0.3
_HOUSES: Final = itertools.count(1)
"""Satellites are of a house of their own: a worker may still be at what others asked before them."""


class WorkerProcess:
    """``ser-agent worker``, in a folder of its own. Its presence on the broker tells that it is up."""

    def __init__(  # noqa: PLR0913 - as many as a worker's command has
        self,
        folder: Path,
        port: int,
        name: str,
        *,
        delay_s: float | None = 0.0,
        batch: int = 8,
        base_topic: str = DEFAULT_BASE,
    ) -> None:
        """Prepare.

        Args:
            folder: for its files.
            port: of the broker.
            name: of the worker.
            delay_s: how long the obedient classifier takes for a batch; None: it is the embedded model instead.
            batch: utterances at a time.
            base_topic: of the fleet.
        """
        embedded = {"type": "wav2vec2", "threads": 1}
        config = {
            "classifier": embedded if delay_s is None else {"type": "obedient", "delay_s": delay_s},
            "sinks": [
                {"type": "mqtt", "port": port, "base_topic": base_topic, "retry_max_s": RETRY_MAX_S},
            ],
        }
        self.name = name
        self._config = folder / f"{name}.yaml"
        self._config.write_text(json.dumps(config), encoding="utf-8")
        self._log = folder / f"{name}.log"
        self._batch = batch
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        """Whether it has been started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", "ser_agent", "worker", "--config", str(self._config), "--name", self.name]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--batch", str(self._batch)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self) -> int:
        """End it as systemd would, and give its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(STOP_S)

    def kill(self) -> None:
        """End it as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_S)

    @property
    def log(self) -> str:
        """All that it has written."""
        return self._log.read_text(encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.runs:
            self.kill()


class Crew:
    """Workers that many tests share; where one has ended, another one is started in its place."""

    def __init__(self, *workers: WorkerProcess) -> None:
        self.workers = workers

    def complete(self, spy: Listener) -> None:
        """Have all of them running, and in sight."""
        for worker in self.workers:
            if not worker.runs:
                self._start(worker, spy)
        names = {worker.name for worker in self.workers}
        wait_until(lambda: names <= workers_in_sight(spy), f"{', '.join(sorted(names))} are up", START_S)

    def _start(self, worker: WorkerProcess, spy: Listener) -> None:
        """Start one, once nobody takes the one before it for being there."""
        wait_until(lambda: worker.name not in workers_in_sight(spy), f"{worker.name} is out of sight")
        worker.start()

    def __enter__(self) -> Self:
        """Nothing runs yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End those that run, each of which has to end well."""
        running = [worker for worker in self.workers if worker.runs]
        codes = []
        for worker in running:
            with worker:
                codes.append(worker.stop())
        assert kind is not None or not any(codes), [worker.log for worker in running]


@dataclass
class Satellite:
    """A remote classifier, and what came of what it was asked.

    Attributes:
        classifier: the classifier.
        site: its site.
        outcomes: of every utterance that was asked about: ``answered``, ``wrong`` (somebody else's answer),
            ``non_speech``, or the reason of its failure.
    """

    classifier: RemoteClassifier
    site: str
    outcomes: Counter[str] = field(default_factory=Counter)

    def ask(self, orders: Sequence[tuple[int, int]]) -> list[str]:
        """Ask about some utterances at once, wait, and note what came of them."""
        answers = self.classifier.classify([spoken(order, number) for order, number in orders])
        outcomes = [_outcome(answer, number) for answer, (_, number) in zip(answers, orders, strict=True)]
        self.outcomes.update(outcomes)
        return outcomes


class Satellites:
    """Many satellites, each with a thread in which it asks."""

    def __init__(self, port: int, folder: Path, many: int = 40, **keys: Any) -> None:  # noqa: ANN401 - of many kinds
        """Prepare; ``keys`` as in the YAML."""
        self._numbers = itertools.count(1)
        self._threads: list[threading.Thread] = []
        self._faults: list[BaseException] = []
        self.asked = 0
        self.house = f"house{next(_HOUSES)}"
        sites = [f"{self.house}-{number}" for number in range(many)]
        self.all = [Satellite(make_remote(port, folder, site, **keys), site) for site in sites]

    def __enter__(self) -> Self:
        with ThreadPoolExecutor(len(self.all)) as pool:
            list(pool.map(lambda satellite: satellite.classifier.load(), self.all))
        return self

    def __exit__(self, *_: object) -> None:
        self.join()
        with ThreadPoolExecutor(len(self.all)) as pool:
            list(pool.map(lambda satellite: satellite.classifier.close(), self.all))

    def talk(self, each: int, *, together: int = 1, pause_s: float = 0.0) -> None:
        """Let every satellite ask about so many utterances, some at a time, in its own thread."""
        for satellite in self.all:
            orders = [(ANSWER, next(self._numbers) % SURE) for _ in range(each)]
            self.say(satellite, orders, together=together, pause_s=pause_s)

    def say(
        self,
        satellite: Satellite,
        orders: Sequence[tuple[int, int]],
        *,
        together: int = 1,
        pause_s: float = 0.0,
    ) -> None:
        """Let one satellite ask about some utterances, some at a time, in a thread."""
        self.asked += len(orders)
        batches = [orders[at : at + together] for at in range(0, len(orders), together)]
        thread = threading.Thread(target=self._run, args=(satellite, batches, pause_s))
        self._threads.append(thread)
        thread.start()

    def _run(self, satellite: Satellite, batches: list[list[tuple[int, int]]], pause_s: float) -> None:
        try:
            for batch in batches:
                satellite.ask(batch)
                time.sleep(pause_s)
        except BaseException as error:  # noqa: BLE001 - the test is to see it
            self._faults.append(error)

    def join(self) -> None:
        """Wait until everybody has said everything.

        Raises:
            BaseException: what a satellite raised.
        """
        while self._threads:
            self._threads.pop().join()
        if self._faults:
            raise self._faults[0]

    @property
    def outcomes(self) -> Counter[str]:
        """What came of all that was asked."""
        return sum((satellite.outcomes for satellite in self.all), Counter())

    def counts(self) -> Counter[str]:
        """What the satellites count themselves, summed."""
        return sum((Counter(satellite.classifier.counts()) for satellite in self.all), Counter())


def make_remote(port: int, folder: Path, site: str, **keys: Any) -> RemoteClassifier:  # noqa: ANN401 - of many kinds
    """A remote classifier of a site; ``keys`` as in the YAML."""
    merged = {"host": "127.0.0.1", "port": port, "retry_max_s": RETRY_MAX_S, "time_limit_s": 120.0, **keys}
    options = RemoteClassifier.Options.model_validate_json(json.dumps(merged))
    return RemoteClassifier(options, PluginContext(site, folder))


def spoken(order: int, number: int = 0, seconds: float = 0.25) -> Utterance:
    """An utterance that gives an order."""
    samples = np.zeros(round(seconds * SAMPLE_RATE), np.int16)
    samples[:2] = order, number
    return heard_now(samples)


def heard_now(samples: Samples) -> Utterance:
    """An utterance that has just ended."""
    now_s = time.monotonic()
    return Utterance(samples, 0, "silence", captured_at=now_s, closed_at=now_s)


def _outcome(answer: Answer, number: int) -> str:
    if isinstance(answer, Unanswered):
        return answer.reason
    if answer is NON_SPEECH:
        return "non_speech"
    right = abs(answer.get("happy", -1.0) - number / SURE) < 1e-9
    return "answered" if right else "wrong"


def replies(listener: Listener, *states: str, house: str = "") -> list[dict[str, Any]]:
    """What workers have said in those states, in order; to one house, where that is given."""
    told = [heard for heard in list(listener.heard) if heard.topic.rpartition("/")[2].startswith(house)]
    return [fields for heard in told if (fields := _reply(heard)).get("state") in states]


def _reply(heard: Heard) -> dict[str, Any]:
    return heard.fields if "/answers/" in heard.topic else {}


def workers_in_sight(listener: Listener) -> set[str]:
    """The workers that have said that they are there, and not since that they go."""
    present: dict[str, str] = {}
    for heard in list(listener.heard):
        if "/workers/" in heard.topic:
            present[heard.topic.rpartition("/")[2]] = heard.payload
    return {name for name, payload in present.items() if payload}


def belongings() -> tuple[set[str], int]:
    """The threads of this process, and how many files it has open."""
    return {thread.name for thread in threading.enumerate()}, len(list(Path("/proc/self/fd").iterdir()))
