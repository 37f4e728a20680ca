"""Asking workers over a real mosquitto; the workers do as the tests say."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.asking import Working
from support.mqtt import PATIENCE_S, Listener, Mosquitto, wait_until
from support.scripted_worker import (
    LABELS,
    MODEL,
    SCORES,
    TOPICS,
    ScriptedWorker,
    answers,
    fails,
    is_silent,
    takes,
)

from ser_agent.classifiers import remote
from ser_agent.classifiers.remote import WORDS, RemoteClassifier
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier
from ser_agent.errors import ClassificationError, ModelError
from ser_agent.fleet_wire import Presence, decode_sound, encode_presence
from ser_agent.ports import NON_SPEECH, Attributed, PluginContext, Unanswered
from ser_agent.testing import check_classifier, utterance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.scripted_worker import Question

    from ser_agent.classifiers.remote_desk import Asked, Desk
    from ser_agent.ports import Answer

pytestmark = pytest.mark.broker
NO_WORKER = Unanswered("no_worker")
SOON_S = 0.3
ANSWER_S = 25


@pytest.fixture(autouse=True)
def _waits_for_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, however long it takes to come."""
    monkeypatch.setattr(remote, "WORKER_S", PATIENCE_S)
    monkeypatch.setattr(remote, "SETTLE_S", 0.02)


@pytest.fixture
def waits_little(monkeypatch: pytest.MonkeyPatch, _waits_for_a_worker: None) -> None:
    """At the start for workers that there are not."""
    monkeypatch.setattr(remote, "WORKER_S", SOON_S)


without_worker = pytest.mark.usefixtures("waits_little")


def make(port: int, folder: Path, **keys: Any) -> RemoteClassifier:  # noqa: ANN401 - of many kinds
    usual = {"retry_max_s": 0.2, "answer_within_s": ANSWER_S, "no_worker_after_s": SOON_S}
    merged = {"host": "127.0.0.1", "port": port, **usual, **keys}
    options = RemoteClassifier.Options.model_validate_json(json.dumps(merged))
    return RemoteClassifier(options, PluginContext("den", folder))


@contextmanager
def loaded(port: int, folder: Path, **keys: Any) -> Iterator[RemoteClassifier]:  # noqa: ANN401 - of many kinds
    classifier = make(port, folder, **keys)
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


def test_workers_answer_as_if_the_satellite_had_classified(broker: Mosquitto, tmp_path: Path) -> None:
    said = [utterance(0.3, 200), utterance(0.5, 300), utterance(0.4, 400)]

    def script(worker: ScriptedWorker, question: Question) -> None:
        long = len(decode_sound(question.payload)) == len(said[1].samples)
        worker.say(question, "non_speech" if long else "answered")

    with ScriptedWorker(broker.port, script) as worker, loaded(broker.port, tmp_path) as classifier:
        heard = classifier.classify(said)
        assert heard == [SCORES, NON_SPEECH, SCORES]
        assert isinstance(heard[0], Attributed)
        assert heard[0].model == MODEL
        counted = {"workers": 1, "asked": 3, "again": 0, "duplicates": 0, "garbage": 0, "fallback": 0}
        assert classifier.counts() == counted
    sounds = [decode_sound(question.payload) for question in worker.questions]
    assert all(np.array_equal(sound, one.samples) for sound, one in zip(sounds, said, strict=True))


def test_an_utterance_says_all_that_a_worker_has_to_know(broker: Mosquitto, tmp_path: Path) -> None:
    with ScriptedWorker(broker.port, answers) as worker, loaded(broker.port, tmp_path) as classifier:
        classifier.classify([utterance()])
        (question,) = worker.questions
    assert (question.topic, question.response_topic) == ("ser-agent/utterances/den", "ser-agent/answers/den")
    assert (question.qos, question.retained, question.attempt) == (1, False, 1)
    assert question.content_type == "audio/flac"
    assert 1 <= question.expires_in_s <= ANSWER_S
    assert len(question.id) == 26


def test_what_is_announced_is_what_a_worker_has(broker: Mosquitto, tmp_path: Path) -> None:
    classifier = make(broker.port, tmp_path)
    with ScriptedWorker(broker.port, answers):
        model = classifier.load()
        classifier.close()
    assert (model.name, model.labels, model.uncertain_below, model.licence) == (MODEL, LABELS, 0.45, "MIT")
    assert model.audio_sent_to == f"127.0.0.1:{broker.port}"


def test_a_second_answer_is_counted_and_dropped(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        ScriptedWorker(broker.port, lambda worker, question: worker.say(question, times=2)),
        loaded(broker.port, tmp_path) as classifier,
    ):
        assert classifier.classify([utterance()]) == [SCORES]
        wait_until(lambda: classifier.counts()["duplicates"] == 1, "the second answer comes")


def test_an_answer_that_comes_too_late_finds_nobody(broker: Mosquitto, tmp_path: Path) -> None:
    with ScriptedWorker(broker.port, takes) as worker, loaded(broker.port, tmp_path) as classifier:
        asking = Asking(classifier)
        wait_for_takers(classifier, "w1")
        wait_until(lambda: under_way(classifier)[0].unconfirmed_s is None, "the broker has confirmed it")
        let_time_be_over(classifier)
        assert asking.end() == [Unanswered("expired")]
        worker.say(worker.questions[0])
        wait_until(lambda: classifier.counts()["duplicates"] == 1, "the late answer comes")


def test_what_a_dying_worker_had_taken_goes_to_another_as_a_second_try(broker: Mosquitto, tmp_path: Path) -> None:
    with ScriptedWorker(broker.port, takes) as first, loaded(broker.port, tmp_path) as classifier:
        asking = Asking(classifier, 2)
        wait_for_takers(classifier, "w1", "w1")
        with ScriptedWorker(broker.port, answers, name="w2") as second:
            first.die()
            assert asking.end() == [SCORES, SCORES]
            assert [question.attempt for question in second.questions] == [2, 2]
            assert {question.id for question in second.questions} == {one.id for one in first.questions}


def test_what_only_waited_at_a_dying_worker_has_had_no_try(broker: Mosquitto, tmp_path: Path) -> None:
    with ScriptedWorker(broker.port, is_silent) as first, loaded(broker.port, tmp_path) as classifier:
        asking = Asking(classifier)
        wait_until(lambda: first.questions, "the first worker has it")
        with ScriptedWorker(broker.port, answers, name="w2") as second:
            first.die()
            assert asking.end() == [SCORES]
            assert [question.attempt for question in second.questions] == [1]


def test_what_two_workers_have_died_of_is_set_aside(broker: Mosquitto, tmp_path: Path) -> None:
    with ScriptedWorker(broker.port, takes) as first, loaded(broker.port, tmp_path) as classifier:
        asking = Asking(classifier)
        wait_for_takers(classifier, "w1")
        with ScriptedWorker(broker.port, takes, name="w2") as second:
            first.die()
            wait_for_takers(classifier, "w2")
            second.die()
            assert asking.end() == [Unanswered("poisoned")]


def test_what_fails_twice_is_set_aside_and_the_others_are_answered(broker: Mosquitto, tmp_path: Path) -> None:
    ids: list[str] = []

    def script(worker: ScriptedWorker, question: Question) -> None:
        ids.append(question.id)
        (fails if question.id == ids[0] else answers)(worker, question)

    with ScriptedWorker(broker.port, script) as worker, loaded(broker.port, tmp_path) as classifier:
        assert classifier.classify([utterance(), utterance()]) == [Unanswered("poisoned"), SCORES]
        assert sorted(question.attempt for question in worker.questions) == [1, 1, 2]


@without_worker
def test_without_a_worker_it_says_so_at_once(broker: Mosquitto, tmp_path: Path) -> None:
    classifier = make(broker.port, tmp_path)
    model = classifier.load()
    assert (model.name, model.labels) == ("remote", WORDS)
    assert classifier.classify([utterance(), utterance()]) == [NO_WORKER, NO_WORKER]
    classifier.close()


@without_worker
def test_while_no_worker_is_in_sight_the_fallback_answers(broker: Mosquitto, tmp_path: Path) -> None:
    classifier = make(broker.port, tmp_path, fallback={"type": "wav2vec2", "threads": 1})
    model = classifier.load()
    (answer,) = classifier.classify([utterance(1.0)])
    assert answer is NON_SPEECH or (isinstance(answer, Attributed) and answer.model == model.name)
    assert classifier.counts()["fallback"] == 1
    with ScriptedWorker(broker.port, answers) as worker:
        wait_until(lambda: classifier.counts()["workers"], "the worker comes in sight")
        be_patient(classifier, PATIENCE_S)
        assert classifier.classify([utterance()]) == [SCORES]
        worker.leave()
        wait_until(lambda: not classifier.counts()["workers"], "the worker has gone")
        be_patient(classifier, SOON_S)
        classifier.classify([utterance()])
        assert classifier.counts()["fallback"] == 2
    classifier.close()


def test_a_broker_that_hangs_is_not_waited_for_where_there_is_a_fallback(
    broker: Mosquitto, tmp_path: Path
) -> None:
    fallback = {"type": "wav2vec2", "threads": 1}
    with (
        ScriptedWorker(broker.port, answers),
        loaded(broker.port, tmp_path, fallback=fallback) as classifier,
    ):
        broker.suspend()
        (answer,) = classifier.classify([utterance()])
        broker.resume()
        assert answer is NON_SPEECH or isinstance(answer, Attributed)
        assert classifier.counts()["fallback"] == 1
        wait_until(lambda: classifier.counts()["duplicates"] == 1, "the worker's answer comes, too late")


@without_worker
def test_a_fallback_that_fails_is_counted_and_keeps_nobody_else_from_an_answer(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: object, _utterances: object) -> list[Answer]:
        raise ZeroDivisionError

    with loaded(broker.port, tmp_path, fallback={"type": "wav2vec2", "threads": 1}) as classifier:
        monkeypatch.setattr(Wav2Vec2Classifier, "classify", fail)
        assert classifier.classify([utterance(), utterance()]) == [Unanswered("fallback")] * 2


def test_it_starts_without_a_broker_and_asks_once_there_is_one(
    mosquitto: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Mosquitto(mosquitto, tmp_path)
    with loaded(broker.port, tmp_path) as classifier, broker, ScriptedWorker(broker.port, answers):
        wait_until(lambda: classifier.counts()["workers"], "the worker comes in sight")
        assert classifier.classify([utterance()]) == [SCORES]
        assert sum("connection refused" in text for text in caplog.messages) == 1


def test_what_is_open_while_the_broker_restarts_is_answered_once(broker: Mosquitto, tmp_path: Path) -> None:
    with ScriptedWorker(broker.port, is_silent) as worker, loaded(broker.port, tmp_path) as classifier:
        asking = Asking(classifier, 3)
        wait_until(lambda: len(worker.questions) == 3, "the worker has them")
        worker.leave()
        broker.stop()
        broker.start()
        with ScriptedWorker(broker.port, answers, name="w2"):
            assert asking.end() == [SCORES] * 3


def test_labels_that_were_not_announced_are_not_passed_on(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def script(worker: ScriptedWorker, question: Question) -> None:
        worker.say(question, scores={"bored": 0.5, "happy": 0.5})

    with ScriptedWorker(broker.port, script), loaded(broker.port, tmp_path) as classifier:
        assert classifier.classify([utterance(), utterance()]) == [Unanswered("labels")] * 2
    assert sum("bored" in text for text in caplog.messages) == 1


def test_no_more_than_so_many_are_on_their_way(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        ScriptedWorker(broker.port, is_silent) as worker,
        loaded(broker.port, tmp_path, max_waiting=2) as classifier,
        Listener(broker.port) as listener,
    ):
        asking = Asking(classifier, 3)
        wait_until(lambda: len(worker.questions) == 2, "two are asked about")
        worker.say(worker.questions[0])
        wait_until(lambda: len(worker.questions) == 3, "the third follows")
        wait_until(lambda: len(listener.on("/den")) == 4, "the listener has heard it, too")
        order = [heard.topic.split("/")[1] for heard in listener.on("/den")]
        assert order == ["utterances", "utterances", "answers", "utterances"]
        for question in worker.questions[1:]:
            worker.say(question)
        assert asking.end() == [SCORES] * 3


def test_a_worker_that_says_it_is_there_and_is_not_costs_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker.port, topic="none") as listener:
        presence = Presence("ghost", "workers", MODEL, LABELS, 0.4)
        listener.say(TOPICS.worker("ghost"), encode_presence(presence), retain=True)
        with loaded(broker.port, tmp_path) as classifier:
            asking = Asking(classifier)
            wait_until(lambda: classifier.counts()["again"], "it is sent again, since nobody listens")
            with ScriptedWorker(broker.port, answers, name="w2"):
                assert asking.end() == [SCORES]


def test_what_is_no_answer_is_counted_and_passed_over(broker: Mosquitto, tmp_path: Path) -> None:
    def script(worker: ScriptedWorker, question: Question) -> None:
        worker.say(question, named="0" * 26)  # another id than its correlation data
        listener.say(question.response_topic, b'{"version": 1, "scores": NaN}')
        worker.say(question)

    with (
        Listener(broker.port) as listener,
        ScriptedWorker(broker.port, script),
        loaded(broker.port, tmp_path) as classifier,
    ):
        listener.say(TOPICS.worker("liar"), b"here I am", retain=True)
        assert classifier.classify([utterance()]) == [SCORES]
        wait_until(lambda: classifier.counts()["garbage"] == 3, "all three are counted")


def test_a_broker_that_refuses_the_sound_is_told_of(
    mosquitto: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read ser-agent/answers/#\ntopic readwrite ser-agent/workers/#\n")
    acl.chmod(0o600)
    with Mosquitto(mosquitto, tmp_path, f"acl_file {acl}") as broker, Listener(broker.port) as listener:
        presence = Presence("w", "workers", MODEL, LABELS, 0.4)
        listener.say(TOPICS.worker("w"), encode_presence(presence), retain=True)
        with loaded(broker.port, tmp_path) as classifier:
            assert classifier.classify([utterance()]) == [Unanswered("remote")]
    assert any("refuses what is said of this site (not authorized)" in text for text in caplog.messages)


def test_longer_sound_than_workers_take_is_not_sent(broker: Mosquitto, tmp_path: Path) -> None:
    with ScriptedWorker(broker.port, answers) as worker, loaded(broker.port, tmp_path) as classifier:
        assert classifier.classify([utterance(61.0), utterance()]) == [Unanswered("too_long"), SCORES]
        assert len(worker.questions) == 1


def test_closing_ends_the_waiting(broker: Mosquitto, tmp_path: Path) -> None:
    with ScriptedWorker(broker.port, is_silent) as worker, loaded(broker.port, tmp_path) as classifier:
        asking = Asking(classifier)
        wait_until(lambda: worker.questions, "it is asked about")
        classifier.close()
        assert asking.end() == [Unanswered("remote")]
        with pytest.raises(ClassificationError):
            classifier.classify([utterance()])


def test_a_file_that_is_missing_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tls\.ca_file"):
        make(1, tmp_path, tls={"ca_file": "nowhere.pem"}).load()


@without_worker
def test_it_warns_that_sound_leaves_the_machine(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with loaded(broker.port, tmp_path) as classifier:
        assert any("sound of every utterance is sent" in text for text in caplog.messages)
        assert "127.0.0.1" in classifier.warnings()[0]


def test_it_keeps_the_promises_of_its_port_with_a_real_worker(broker: Mosquitto, tmp_path: Path) -> None:
    with Working(broker.port, tmp_path, batch=2):
        check_classifier(make(broker.port, tmp_path), [utterance(0.5), utterance(1.1), utterance(0.3)])


def test_a_check_says_how_many_workers_there_are(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        ScriptedWorker(broker.port, answers),
        ScriptedWorker(broker.port, answers, name="w2"),
        loaded(broker.port, tmp_path) as classifier,
    ):
        wait_until(lambda: classifier.counts()["workers"] == 2, "both come in sight")
        assert classifier.probe(5.0) == f"2 workers in sight, {MODEL}, labels: happy, sad"


@without_worker
def test_a_check_says_that_there_is_no_worker(broker: Mosquitto, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"no worker in sight at the broker 127.0.0.1:{broker.port}"):
        make(broker.port, tmp_path).probe(0.1)


def test_a_check_says_that_there_is_no_broker(mosquitto: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="connection refused"):
        make(Mosquitto(mosquitto, tmp_path).port, tmp_path).probe(0.1)
