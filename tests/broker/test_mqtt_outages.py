"""Brokers that are away, hang or restart: nothing is lost, or it is counted; order is kept; nobody waits."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from support.events import an_event, some_stats
from support.mqtt import PATIENCE_S, Listener, Mosquitto, make_sink, opened, retained, wait_until

from ser_agent.errors import SinkError
from ser_agent.messages import Availability, SpeechState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ser_agent.sinks.mqtt import MqttSink

pytestmark = pytest.mark.broker


def ids(numbers: Iterable[int]) -> list[str]:
    return [an_event(number).id for number in numbers]


def waiting_events(sink: MqttSink) -> int:
    assert sink._mailbox is not None
    return sink._mailbox.waiting


def test_a_broker_that_comes_later_gets_everything_in_order(mosquitto: str, tmp_path: Path) -> None:
    broker = Mosquitto(mosquitto, tmp_path)
    broker.start()
    with Listener(broker.port) as listener:  # its session waits on the broker's disk
        broker.stop()
        with opened(make_sink(broker.port, tmp_path)) as sink:
            sink.publish(Availability(online=True))
            for number in range(100):
                sink.publish(an_event(number))
            with broker:
                sink.flush(PATIENCE_S)
                wait_until(lambda: len(listener.event_ids()) == 100, "all events arrive")
                assert retained(broker.port)["ser-agent/test/availability"].payload == "online"
        assert listener.event_ids() == ids(range(100))
        assert sink.lost() == 0


def test_a_restart_of_the_broker_loses_nothing_and_keeps_the_order(mosquitto: str, tmp_path: Path) -> None:
    broker = Mosquitto(mosquitto, tmp_path)
    with broker, Listener(broker.port) as listener, opened(make_sink(broker.port, tmp_path)) as sink:
        for number in range(300):
            sink.publish(an_event(number))
            if number in {100, 200}:
                broker.stop()
            if number in {150, 250}:
                broker.start()
        sink.flush(PATIENCE_S)
        wait_until(lambda: len(listener.event_ids()) == 300, "all events arrive")
        assert listener.event_ids() == ids(range(300))
        assert sink.lost() == 0


def test_a_full_outbox_drops_the_oldest_and_counts_them(
    mosquitto: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Mosquitto(mosquitto, tmp_path)
    broker.start()
    with Listener(broker.port) as listener:
        broker.stop()
        with opened(make_sink(broker.port, tmp_path, max_events=20)) as sink:
            for number in range(50):
                sink.publish(an_event(number))
            assert sink.lost() == 30
            with broker:
                wait_until(lambda: len(listener.event_ids()) == 20, "what was kept arrives")
                assert listener.event_ids() == ids(range(30, 50))
                sink.flush(PATIENCE_S)
        assert sink.lost() == 30
    assert caplog.text.count("the oldest are dropped") == 1


def test_publishing_never_waits_for_a_broker_that_hangs_and_memory_stays_bounded(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with opened(make_sink(broker.port, tmp_path, max_events=500)) as sink:
        sink.publish(an_event(0))
        wait_until(lambda: listener.event_ids() == ids([0]), "it is connected")
        broker.suspend()
        for number in range(1, 2001):
            sink.publish(an_event(number))
            sink.publish(SpeechState(speaking=number % 2 == 0))
            sink.publish(some_stats(uptime_s=number))
        assert waiting_events(sink) == 500
        assert sink._courier is not None
        assert len(sink._courier._under_way) <= 10
        broker.resume()
        sink.flush(PATIENCE_S)
        wait_until(lambda: listener.last("/event") == listener.on("/event")[-1].payload, "events arrive")
        wait_until(lambda: ids([2000])[0] in listener.event_ids(), "the last event arrives")
    heard = listener.event_ids()
    assert heard == sorted(heard)
    assert len(heard) + sink.lost() == 2001
    assert len(listener.on("/stats")) < 1000, "states are told by their latest value"


def test_an_absent_broker_is_told_of_once_and_holds_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, unused_port: int
) -> None:
    sink = make_sink(unused_port, tmp_path, retry_max_s=0.01)
    with opened(sink):
        sink.publish(an_event(1))
        wait_until(lambda: attempts(sink) > 5, "it tries several times")
        sink.flush(0.01)
    assert sink.lost() == 1, "what is left at the end counts as lost"
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    reason = "connection refused: is a broker running there?; trying again until it works"
    assert warnings == [
        f"MQTT broker 127.0.0.1:{unused_port}: {reason}",
        "1 events could not be delivered to the MQTT broker before the end",
    ]


def attempts(sink: MqttSink) -> int:
    assert sink._courier is not None
    return sink._courier.attempts


def test_a_broker_that_accepts_and_never_answers_is_named(broker: Mosquitto, tmp_path: Path) -> None:
    broker.suspend()
    with pytest.raises(SinkError, match=f":{broker.port}: it accepts connections but does not answer"):
        make_sink(broker.port, tmp_path).probe(0.3)


def test_closing_ends_its_thread_also_while_it_waits_to_try_again(tmp_path: Path, unused_port: int) -> None:
    sink = make_sink(unused_port, tmp_path, retry_max_s=3600.0)
    sink.open()
    assert sink._courier is not None
    thread = sink._courier._thread
    wait_until(lambda: attempts(sink) >= 1, "it tries at least once")
    sink.close()
    assert not thread.is_alive()


def test_after_its_end_it_takes_nothing_and_can_be_opened_again(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    sink = make_sink(broker.port, tmp_path)
    with pytest.raises(SinkError, match="not open"):
        sink.publish(an_event(0))
    for number in (1, 2):
        with opened(sink):
            sink.publish(an_event(number))
            sink.flush(PATIENCE_S)
        with pytest.raises(SinkError, match="not open"):
            sink.publish(an_event(0))
    wait_until(lambda: listener.event_ids() == ids([1, 2]), "both events arrive")


def test_what_the_broker_refuses_is_counted_and_told_of_once(
    mosquitto: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite ser-agent/test/availability\ntopic write ser-agent/test/emotion\n")
    with (
        Mosquitto(mosquitto, tmp_path, f"acl_file {rules}") as broker,
        opened(make_sink(broker.port, tmp_path)) as sink,
    ):
        for number in range(25):
            sink.publish(an_event(number))
        wait_until(lambda: sink.lost() == 25, "every event is refused")
        sink.flush(PATIENCE_S)
    assert caplog.text.count("it refuses what is published on ser-agent/test/event (not authorized)") == 1
