"""A satellite's classifier that asks workers, and looks into its books."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from support.mqtt import PATIENCE_S, wait_until

from ser_agent.classifiers.remote import RemoteClassifier
from ser_agent.ports import PluginContext
from ser_agent.testing import utterance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ser_agent.classifiers.remote_desk import Asked, Desk
    from ser_agent.ports import Answer

SOON_S = 0.3
ANSWER_S = 25


def make_remote(port: int, folder: Path, **keys: Any) -> RemoteClassifier:  # noqa: ANN401 - of many kinds
    usual = {"retry_max_s": 0.2, "answer_within_s": ANSWER_S, "no_worker_after_s": SOON_S}
    merged = {"host": "127.0.0.1", "port": port, **usual, **keys}
    options = RemoteClassifier.Options.model_validate_json(json.dumps(merged))
    return RemoteClassifier(options, PluginContext("den", folder))


@contextmanager
def loaded(port: int, folder: Path, **keys: Any) -> Iterator[RemoteClassifier]:  # noqa: ANN401 - of many kinds
    classifier = make_remote(port, folder, **keys)
    try:
        classifier.load()
        yield classifier
    finally:
        classifier.close()


class Asking:
    """A call of ``classify`` in a thread of its own."""

    def __init__(self, classifier: RemoteClassifier, count: int = 1) -> None:
        self.answers: list[Answer] = []
        self._utterances = [utterance(0.2 + 0.05 * number) for number in range(count)]
        self._thread = threading.Thread(target=self._ask, args=(classifier,))
        self._thread.start()

    def _ask(self, classifier: RemoteClassifier) -> None:
        self.answers = list(classifier.classify(self._utterances))

    def end(self) -> list[Answer]:
        self._thread.join(ANSWER_S + PATIENCE_S)
        assert not self._thread.is_alive(), "classify does not return"
        return self.answers


def desk_of(classifier: RemoteClassifier) -> Desk:
    assert classifier._desk is not None
    return classifier._desk


def under_way(classifier: RemoteClassifier) -> list[Asked]:
    """What was asked about, and is not over."""
    desk = desk_of(classifier)
    with desk._changed:
        return list(desk._open.values())


def wait_for_takers(classifier: RemoteClassifier, *takers: str) -> None:
    """Wait until the satellite has heard who has taken each of what it has asked about."""
    expected = [{taker} for taker in takers]
    wait_until(lambda: [asked.takers for asked in under_way(classifier)] == expected, f"{takers} have taken them")


def let_time_be_over(classifier: RemoteClassifier) -> None:
    """Of all that was asked about."""
    desk = desk_of(classifier)
    with desk._changed:
        for asked in desk._open.values():
            asked.deadline_s = time.monotonic()
        desk._changed.notify_all()


def be_patient(classifier: RemoteClassifier, no_worker_after_s: float) -> None:
    """Wait so long for a worker from now on."""
    desk = desk_of(classifier)
    desk._patience = replace(desk._patience, no_worker_s=no_worker_after_s)
