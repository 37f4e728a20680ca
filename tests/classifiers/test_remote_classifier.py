"""Asking workers over a real mosquitto; the workers do as the tests say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.asking import Working
from support.mqtt import Listener, Mosquitto, wait_until
from support.remote import (
    ANSWER_S,
    Asking,
    let_time_be_over,
    loaded,
    make_remote,
    under_way,
    wait_for_takers,
)
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

from ser_agent.fleet_wire import decode_sound
from ser_agent.ports import NON_SPEECH, Attributed, Unanswered
from ser_agent.testing import check_classifier, utterance

if TYPE_CHECKING:
    from pathlib import Path

    from support.scripted_worker import Question


pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("waits_for_a_worker")]


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
    classifier = make_remote(broker.port, tmp_path)
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


def test_it_keeps_the_promises_of_its_port_with_a_real_worker(broker: Mosquitto, tmp_path: Path) -> None:
    with Working(broker.port, tmp_path, batch=2):
        check_classifier(make_remote(broker.port, tmp_path), [utterance(0.5), utterance(1.1), utterance(0.3)])
