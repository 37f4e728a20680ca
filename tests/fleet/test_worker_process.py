"""``ser-agent worker`` as a process of its own, with the embedded model."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.agent import AgentProcess
from support.answers import classified
from support.asking import Asker, Working
from support.mqtt import retained, wait_until
from support.sounds import said, speech_clips

from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.fleet_wire import encode_sound
from ser_agent.ports import PluginContext

if TYPE_CHECKING:
    from pathlib import Path

    from support.mqtt import Mosquitto

pytestmark = pytest.mark.timeout(400)

LONG_S = 20
MANY = 8
"""Of such long utterances: a worker cannot be through with all of them before it is killed."""


def config(port: int, **more: object) -> dict[str, Any]:
    sinks = [{"type": "jsonlines"}, {"type": "mqtt", "host": "127.0.0.1", "port": port, "retry_max_s": 0.3}]
    return {"sinks": sinks, **more}


def test_answers_are_those_of_the_model_on_the_spot(broker: Mosquitto, tmp_path: Path) -> None:
    worker = AgentProcess(tmp_path, config(broker.port), "--name", "hall", command="worker")
    clips = speech_clips()
    with Asker(broker.port) as asker, worker:
        worker.wait_for("READY=1")
        assert asker.see_worker() == "hall"
        for number, clip in enumerate(clips):
            asker.ask(number, encode_sound(clip))
        answers = [asker.final(number).fields for number in range(len(clips))]
        worker.wait_for("STATUS=connected")
        worker.wait_for("WATCHDOG=1")
        worker.send(signal.SIGHUP)
        worker.wait_for("STOPPING=1")
        assert worker.wait() == 0
        assert f"done: {len(clips)} asked, {len(clips)} answered" in worker.log
    assert retained(broker.port) == {}
    classifier = Wav2Vec2Classifier(Wav2Vec2Options(), PluginContext("here", tmp_path))
    model = classifier.load().name
    for answer, here in zip(answers, classified(classifier, [said(clip) for clip in clips]), strict=True):
        assert answer["model"] == model
        assert answer["scores"] == pytest.approx(dict(here), abs=1e-3)
    classifier.close()


def test_what_a_killed_worker_had_is_answered_by_another_one(broker: Mosquitto, tmp_path: Path) -> None:
    sound = encode_sound(np.resize(np.concatenate(speech_clips()), LONG_S * 16_000))
    worker = AgentProcess(tmp_path, config(broker.port), "--name", "victim", command="worker")
    with Asker(broker.port) as asker, worker:
        worker.wait_for("READY=1")
        asker.see_worker()
        for number in range(MANY):
            asker.ask(number, sound)
        wait_until(lambda: asker.states(0), "it has begun with the first")
        worker.send(signal.SIGKILL)
        wait_until(lambda: asker.workers["victim"] == {}, "its will is heard")
        open_ = [number for number in range(MANY) if asker.states(number) in ([], ["taken"])]
        assert open_
        with Working(broker.port, tmp_path) as working:
            wait_until(lambda: asker.workers.get("w1"), "the other one comes")
            for number in open_:
                asker.ask(number, sound, attempt=2)
            assert {asker.final(number).fields["worker"] for number in open_} == {"w1"}
            working.stop()
            assert working.counts == {"asked": len(open_), "answered": len(open_)}


def test_a_worker_waits_for_its_broker_and_says_so_once(broker: Mosquitto, tmp_path: Path) -> None:
    broker.stop()
    worker = AgentProcess(tmp_path, config(broker.port), "--name", "early", command="worker")
    with worker:
        worker.wait_for("READY=1")
        worker.wait_for("STATUS=no broker")
        wait_until(lambda: "trying again" in worker.log, "it says so")
        broker.start()
        with Asker(broker.port) as asker:
            assert asker.see_worker() == "early"
        worker.wait_for("STATUS=connected; 0 asked")
        assert worker.stop() == 0
        assert worker.log.count("trying again until it works") == 1
