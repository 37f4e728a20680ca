"""A worker on a real mosquitto, asked by a satellite by hand."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.asking import EXPIRES_S, HUSH, POISON, SITE, SLOW, Asker, Working, an_id, some_sound
from support.mqtt import PATIENCE_S, Listener, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.mqtt import Mosquitto


@pytest.fixture
def pass_by(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets so many seconds pass by for what the worker has to do."""
    clock = SimpleNamespace(monotonic=time.monotonic)
    monkeypatch.setattr("ser_agent.fleet.tasks.time", clock)

    def pass_by(seconds: float) -> None:
        clock.monotonic = lambda: time.monotonic() + seconds

    return pass_by


def test_an_utterance_is_begun_with_and_answered_and_its_sound_overwritten(asker: Asker, working: Working) -> None:
    asker.ask(1)
    came = asker.final(1)
    assert asker.states(1) == ["taken", "answered"]
    assert came.fields == {
        "version": 1,
        "id": an_id(1),
        "state": "answered",
        "worker": "w1",
        "model": "made-up@1",
        "scores": {"happy": 0.75, "sad": 0.25},
    }
    assert (came.topic, came.qos) == (f"ser-agent/answers/{SITE}", 1)
    assert came.expires_s is not None
    assert EXPIRES_S - PATIENCE_S <= came.expires_s <= EXPIRES_S
    wait_until(lambda: not working.classifier.seen[0].samples.any(), "the sound is overwritten")


def test_nobody_spoke_and_a_classifier_that_raises_for_one_of_a_batch(asker: Asker, working: Working) -> None:
    working.classifier.gate.clear()
    asker.ask(0, some_sound(SLOW))
    wait_until(lambda: working.classifier.batches, "the first is in work")
    for number, first in enumerate((1000, POISON, HUSH, 1001), 1):
        asker.ask(number, some_sound(first))
    working.wait_for(asked=5)
    working.classifier.gate.set()
    assert [asker.final(number).state for number in range(1, 5)] == [
        "answered",
        "failed",
        "non_speech",
        "answered",
    ]
    assert asker.final(2).fields["reason"] == "classifier"  # no word of what was raised
    assert asker.final(3).fields["model"] == "made-up@1"
    assert working.classifier.batches == [[SLOW], [1000, POISON, HUSH, 1001], [1000], [POISON], [HUSH], [1001]]


def test_no_more_than_a_batch_is_begun_with_at_a_time(asker: Asker, working: Working) -> None:
    working.classifier.gate.clear()
    asker.ask(0, some_sound(SLOW))
    wait_until(lambda: working.classifier.batches, "the first is in work")
    for number in range(1, 7):
        asker.ask(number)
    asker.ask(7, some_sound(seconds=3.0))  # goes with nothing so short
    working.wait_for(asked=8)
    asker.hear_all()
    assert [asker.states(number) for number in range(8)] == [["taken"]] + [[]] * 7
    working.classifier.gate.set()
    asker.final(7)
    assert [len(batch) for batch in working.classifier.batches] == [1, 4, 2, 1]
    working.stop()
    assert working.counts == {"asked": 8, "answered": 8}


def test_an_utterance_is_acknowledged_behind_its_answer(asker: Asker, broker: Mosquitto, tmp_path: Path) -> None:
    with Working(broker.port, tmp_path, batch=1) as working:
        asker.see_worker()
        working.classifier.gate.clear()
        asker.ask(1, some_sound(SLOW))
        wait_until(lambda: working.classifier.batches, "the first is in work")
        asker.ask(2)
        asker.ask(3)  # is not let through before one of the two is acknowledged: receive maximum
        time.sleep(0.2)
        assert working.classifier.batches == [[SLOW]]
        working.classifier.gate.set()
        asker.final(3)
        assert [asker.states(number) for number in (1, 2, 3)] == [["taken", "answered"]] * 3


def test_who_asks_again_gets_the_same_answer_without_another_look(asker: Asker, working: Working) -> None:
    asker.ask(1)
    asker.final(1)
    asker.ask(1, attempt=2)
    wait_until(lambda: len(asker.states(1)) == 3, "the answer comes again")
    assert asker.states(1) == ["taken", "answered", "answered"]
    assert len(working.classifier.batches) == 1
    working.stop()
    assert working.counts == {"asked": 1, "answered": 1, "duplicates": 1}


def test_who_asks_again_meanwhile_is_answered_once(asker: Asker, working: Working) -> None:
    working.classifier.gate.clear()
    asker.ask(1, some_sound(SLOW))
    wait_until(lambda: working.classifier.batches, "it is in work")
    asker.ask(1, some_sound(SLOW), attempt=2)
    asker.ask(2)
    working.wait_for(asked=2, duplicates=1)
    working.classifier.gate.set()
    asker.final(2)
    assert asker.states(1) == ["taken", "answered"]


def test_what_failed_is_tried_anew_at_the_second_try_and_then_alone(asker: Asker, working: Working) -> None:
    asker.ask(1, some_sound(POISON))
    asker.final(1)
    asker.ask(1, some_sound(POISON))  # the same try: sent again
    wait_until(lambda: asker.states(1) == ["taken", "failed", "failed"], "it is told again")
    working.classifier.gate.clear()
    asker.ask(0, some_sound(SLOW))
    wait_until(lambda: len(working.classifier.batches) == 2, "the other is in work")
    asker.ask(1, some_sound(1), attempt=2)
    asker.ask(2, some_sound(1002))
    working.wait_for(asked=4)
    working.classifier.gate.set()
    asker.final(2)
    wait_until(lambda: asker.states(1)[-1] == "non_speech", "it is tried anew")
    assert working.classifier.batches[2:] == [[1002], [1]]


@pytest.mark.parametrize(
    ("payload", "unusual"),
    [
        (b"no sound", {}),
        (b"", {}),
        (None, {"ContentType": "audio/wav"}),
        (None, {"UserProperty": [("schema", "2")]}),
    ],
)
def test_what_is_no_sound_fails(
    asker: Asker, working: Working, payload: bytes | None, unusual: dict[str, Any]
) -> None:
    asker.ask(1, payload, **unusual)
    assert asker.final(1).fields["reason"] == "undecodable"
    assert asker.states(1) == ["failed"]
    assert working.classifier.batches == []


def test_nothing_is_written_where_a_satellite_has_no_say(
    asker: Asker, working: Working, listener: Listener
) -> None:
    for topic in ("ser-agent/answers/other", "homeassistant/sensor/x/config", "ser-agent/workers/w1"):
        asker.ask(1, ResponseTopic=topic)
    asker.ask(2, CorrelationData=b"short")
    asker.ask(3, CorrelationData=b"\xff" * 26)
    listener.say("ser-agent/utterances/a/b", some_sound())
    listener.say("ser-agent/utterances/UPPER", some_sound())
    asker.ask(4)
    asker.final(4)
    working.stop()
    asker.hear_all()
    assert {came.id for came in asker.came} == {an_id(4)}
    assert not [heard for heard in listener.heard if heard.topic == "homeassistant/sensor/x/config"]
    assert working.counts == {"asked": 1, "answered": 1, "ignored": 7}


def test_what_expires_while_it_waits_here_is_passed_over(
    asker: Asker, working: Working, pass_by: Callable[[float], None]
) -> None:
    working.classifier.gate.clear()
    asker.ask(1, some_sound(SLOW))
    wait_until(lambda: working.classifier.batches, "the first is in work")
    asker.ask(2, MessageExpiryInterval=EXPIRES_S // 4)
    asker.ask(3)
    working.wait_for(asked=3)
    pass_by(EXPIRES_S / 2)
    working.classifier.gate.set()
    asker.final(3)
    working.stop()
    asker.hear_all()
    assert asker.states(2) == []
    assert working.counts == {"asked": 3, "answered": 2, "expired": 1}


def test_an_answer_that_comes_too_late_is_not_sent(
    asker: Asker, working: Working, pass_by: Callable[[float], None]
) -> None:
    working.classifier.gate.clear()
    asker.ask(1, some_sound(SLOW))
    wait_until(lambda: working.classifier.batches, "it is in work")
    pass_by(EXPIRES_S + 1.0)
    working.classifier.gate.set()
    working.stop()
    asker.hear_all()
    assert asker.states(1) == ["taken"]
    assert working.counts == {"asked": 1, "expired": 1}
