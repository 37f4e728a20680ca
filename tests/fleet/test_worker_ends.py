"""How workers come and go, and what is too much for one."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from support.asking import SLOW, Asker, Working, some_sound
from support.mqtt import PATIENCE_S, retained, wait_until

from ser_agent.errors import SerAgentError
from ser_agent.sinks.mqtt_work import WorkConnection
from ser_agent.systemd import Notifier

if TYPE_CHECKING:
    from pathlib import Path

    from support.mqtt import Mosquitto


def test_a_worker_tells_what_it_is_and_when_it_goes(asker: Asker, working: Working, broker: Mosquitto) -> None:
    assert asker.workers["w1"] == {
        "version": 1,
        "worker": "w1",
        "group": "workers",
        "model": "made-up@1",
        "labels": ["happy", "sad"],
        "uncertain_below": 0.3,
        "licence": "CC0-1.0",
        "languages": ["en"],
    }
    assert list(retained(broker.port)) == ["ser-agent/workers/w1"]
    working.stop()
    wait_until(lambda: asker.workers["w1"] == {}, "it takes its word back")
    assert retained(broker.port) == {}


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a worker has seen the broker confirm that it gets no more work."""
    gone = threading.Event()

    def unsubscribed(connection: WorkConnection) -> bool:
        if not connection._unsubscribing:
            gone.set()
        return gone.is_set()

    monkeypatch.setattr(WorkConnection, "unsubscribed", property(unsubscribed))
    return gone


def test_at_its_end_a_worker_answers_what_it_has(
    asker: Asker, working: Working, broker: Mosquitto, gone: threading.Event
) -> None:
    working.classifier.gate.clear()
    asker.ask(1, some_sound(SLOW))
    wait_until(lambda: working.classifier.batches, "the first is in work")
    for number in range(2, 6):
        asker.ask(number)
    working.worker.stop()
    assert gone.wait(PATIENCE_S)
    asker.ask(9)  # comes too late: the broker has nobody for it
    working.classifier.gate.set()
    working.stop()
    assert [asker.final(number).state for number in range(1, 6)] == ["answered"] * 5
    asker.hear_all()
    assert asker.states(9) == []
    assert working.counts == {"asked": 5, "answered": 5}
    assert retained(broker.port) == {}


def test_a_classifier_that_takes_for_ever_does_not_hold_up_the_end(
    asker: Asker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser_agent.fleet.link.DRAIN_S", 0.3)
    monkeypatch.setattr("ser_agent.fleet.worker.BENCH_S", 0.1)
    working.classifier.gate.clear()
    asker.ask(1, some_sound(SLOW))
    asker.ask(2)
    wait_until(lambda: working.classifier.batches, "the first is in work")
    working.wait_for(asked=2)
    assert working.stop() < PATIENCE_S / 2
    wait_until(lambda: asker.workers["w1"] == {}, "it takes its word back, so the satellite asks another one")
    assert working.counts == {"asked": 2}


def test_a_classifier_that_hangs_ends_the_worker_and_others_are_asked(
    asker: Asker, broker: Mosquitto, tmp_path: Path
) -> None:
    hanging = Working(broker.port, tmp_path, time_limit_s=0.2)
    hanging.classifier.gate.clear()

    def ask() -> None:
        asker.see_worker()
        asker.ask(1, some_sound(SLOW))

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(SerAgentError, match="the classifier hangs"):
        hanging.worker.work(Notifier({}))
    hanging.classifier.gate.set()
    asking.join()
    wait_until(lambda: asker.workers["w1"] == {}, "it takes its word back")
    assert asker.states(1) == ["taken"]


def test_sound_that_is_too_much_to_keep_goes_the_oldest_first(
    asker: Asker, broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser_agent.fleet.desk.MOST_S", 1.1)
    with Working(broker.port, tmp_path) as working:
        asker.see_worker()
        working.classifier.gate.clear()
        asker.ask(0, some_sound(SLOW))
        wait_until(lambda: working.classifier.batches, "the first is in work")
        for number in range(1, 6):  # half a second each
            asker.ask(number)
        working.wait_for(asked=6, shed=3)
        working.classifier.gate.set()
        asker.final(5)
        working.stop()
        assert [asker.states(number)[-1:] for number in range(6)] == [
            ["answered"],
            [],
            [],
            [],
            *[["answered"]] * 2,
        ]
        assert working.counts == {"asked": 6, "answered": 3, "shed": 3}


def test_a_broker_that_comes_back_finds_the_worker_and_gets_the_answers(
    asker: Asker, working: Working, broker: Mosquitto
) -> None:
    working.classifier.gate.clear()
    asker.ask(1, some_sound(SLOW))
    wait_until(lambda: working.classifier.batches, "it is in work")
    broker.kill()
    working.classifier.gate.set()
    broker.start()
    with Asker(broker.port, "other") as other:
        other.see_worker()
        other.ask(2)
        assert other.final(2).state == "answered"
    working.stop()
    assert working.counts == {"asked": 2, "answered": 2}


def test_what_has_come_of_everything_is_logged_once_in_a_while(
    asker: Asker,
    broker: Mosquitto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "ser_agent.fleet.worker")
    monkeypatch.setattr("ser_agent.fleet.worker.TICK_S", 0.05)
    monkeypatch.setattr("ser_agent.fleet.worker.REPORT_S", 0.05)
    with Working(broker.port, tmp_path) as working:
        asker.see_worker()
        asker.ask(1)
        text = "1 asked, 1 answered, 0 non_speech, 0 failed, 0 expired"
        wait_until(lambda: text in caplog.messages, "it is logged")
        time.sleep(0.3)
        assert caplog.messages.count(text) == 1  # nothing new, nothing to say
        working.stop()
    assert caplog.messages[-1] == f"done: {text}"


def test_two_workers_share_the_work(asker: Asker, working: Working, broker: Mosquitto, tmp_path: Path) -> None:
    with Working(broker.port, tmp_path, name="w2"):
        wait_until(lambda: asker.workers.get("w2"), "the second comes", PATIENCE_S)
        for number in range(1, 9):
            asker.ask(number)
        by = {asker.final(number).fields["worker"] for number in range(1, 9)}
    assert by == {"w1", "w2"}
    assert working.classifier.batches
