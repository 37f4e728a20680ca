"""A satellite without a worker, or without a broker: it says so, asks its fallback, and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.mqtt import PATIENCE_S, Listener, Mosquitto, wait_until
from support.remote import (
    SOON_S,
    Asking,
    be_patient,
    loaded,
    make_remote,
)
from support.scripted_worker import (
    LABELS,
    MODEL,
    SCORES,
    TOPICS,
    ScriptedWorker,
    answers,
    is_silent,
)

from ser_agent.classifiers.remote import WORDS
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier
from ser_agent.errors import ClassificationError, ModelError
from ser_agent.fleet_wire import Presence, encode_presence
from ser_agent.ports import NON_SPEECH, Attributed, Unanswered
from ser_agent.testing import utterance

if TYPE_CHECKING:
    from pathlib import Path

    from ser_agent.ports import Answer

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("waits_for_a_worker")]
NO_WORKER = Unanswered("no_worker")


@pytest.mark.usefixtures("waits_little")
def test_without_a_worker_it_says_so_at_once(broker: Mosquitto, tmp_path: Path) -> None:
    classifier = make_remote(broker.port, tmp_path)
    model = classifier.load()
    assert (model.name, model.labels) == ("remote", WORDS)
    assert classifier.classify([utterance(), utterance()]) == [NO_WORKER, NO_WORKER]
    classifier.close()


@pytest.mark.usefixtures("waits_little")
def test_while_no_worker_is_in_sight_the_fallback_answers(broker: Mosquitto, tmp_path: Path) -> None:
    classifier = make_remote(broker.port, tmp_path, fallback={"type": "wav2vec2", "threads": 1})
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


@pytest.mark.usefixtures("waits_little")
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


def test_a_worker_that_says_it_is_there_and_is_not_costs_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    with Listener(broker.port, topic="none") as listener:
        presence = Presence("ghost", "workers", MODEL, LABELS, 0.4)
        listener.say(TOPICS.worker("ghost"), encode_presence(presence), retain=True)
        with loaded(broker.port, tmp_path) as classifier:
            asking = Asking(classifier)
            wait_until(lambda: classifier.counts()["again"], "it is sent again, since nobody listens")
            with ScriptedWorker(broker.port, answers, name="w2"):
                assert asking.end() == [SCORES]


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
        make_remote(1, tmp_path, tls={"ca_file": "nowhere.pem"}).load()


@pytest.mark.usefixtures("waits_little")
def test_it_warns_that_sound_leaves_the_machine(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with loaded(broker.port, tmp_path) as classifier:
        assert any("sound of every utterance is sent" in text for text in caplog.messages)
        assert "127.0.0.1" in classifier.warnings()[0]


def test_a_check_says_how_many_workers_there_are(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        ScriptedWorker(broker.port, answers),
        ScriptedWorker(broker.port, answers, name="w2"),
        loaded(broker.port, tmp_path) as classifier,
    ):
        wait_until(lambda: classifier.counts()["workers"] == 2, "both come in sight")
        assert classifier.probe(5.0) == f"2 workers in sight, {MODEL}, labels: happy, sad"


@pytest.mark.usefixtures("waits_little")
def test_a_check_says_that_there_is_no_worker(broker: Mosquitto, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"no worker in sight at the broker 127.0.0.1:{broker.port}"):
        make_remote(broker.port, tmp_path).probe(0.1)


def test_a_check_says_that_there_is_no_broker(mosquitto: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="connection refused"):
        make_remote(Mosquitto(mosquitto, tmp_path).port, tmp_path).probe(0.1)
