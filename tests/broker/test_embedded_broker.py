"""The broker for machines that have none."""

from __future__ import annotations

import contextlib
import gc
import logging
import socket
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from support.events import an_event
from support.mqtt import PATIENCE_S, Listener, free_port, make_sink, opened, wait_until

from ser_agent.broker import EmbeddedBroker
from ser_agent.errors import MissingExtraError, UnavailableError
from ser_agent.messages import Availability, MicrophoneState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedBroker]:
    pytest.importorskip("amqtt", reason="the extra 'broker' is not installed")
    monkeypatch.setattr("ser_agent.broker.START_TIMEOUT_S", PATIENCE_S)
    monkeypatch.setattr("ser_agent.broker.STOP_TIMEOUT_S", PATIENCE_S)
    broker = EmbeddedBroker(free_port())
    broker.start()
    yield broker
    broker.stop()


def test_the_sink_falls_back_to_mqtt_3_1_1_and_everything_arrives(
    embedded: EmbeddedBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Listener(embedded.port, v5=False) as listener:
        with opened(make_sink(embedded.port, tmp_path)) as sink:
            sink.publish(Availability(online=True))
            sink.publish(MicrophoneState(connected=True))
            for number in range(50):
                sink.publish(an_event(number))
            sink.flush(PATIENCE_S)
            wait_until(lambda: len(listener.event_ids()) == 50, "all events arrive")
            assert listener.event_ids() == [an_event(number).id for number in range(50)]
            wait_until(lambda: listener.last("/availability") == "online", "it is up")
        wait_until(lambda: listener.last("/availability") == "offline", "it says farewell")
    assert "connected, MQTT 3.1.1" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_states_are_kept_for_newcomers(embedded: EmbeddedBroker, tmp_path: Path) -> None:
    with opened(make_sink(embedded.port, tmp_path)) as sink:
        sink.publish(Availability(online=True))
        sink.flush(PATIENCE_S)
        with Listener(embedded.port, v5=False) as newcomer:
            wait_until(lambda: newcomer.last("/availability") == "online", "the state comes")
            assert newcomer.on("/availability")[0].retain


def test_the_probe_says_which_version_it_speaks(embedded: EmbeddedBroker, tmp_path: Path) -> None:
    assert make_sink(embedded.port, tmp_path).probe(5.0) == (
        f"MQTT broker 127.0.0.1:{embedded.port} speaks MQTT 3.1.1"
    )


def test_it_stops_without_leaving_anything_and_starts_again(embedded: EmbeddedBroker, tmp_path: Path) -> None:
    embedded.stop()
    embedded.stop()
    assert "mqtt-broker" not in {thread.name for thread in threading.enumerate()}
    embedded.start()
    assert make_sink(embedded.port, tmp_path, protocol="3.1.1").probe(PATIENCE_S)


@pytest.mark.parametrize("attempt", range(6))  # a client that is just being told something was waited for
def test_it_stops_also_while_somebody_listens(embedded: EmbeddedBroker, tmp_path: Path, attempt: int) -> None:
    with contextlib.ExitStack() as staying:
        with opened(make_sink(embedded.port, tmp_path)) as sink:
            sink.publish(Availability(online=True))
            sink.flush(PATIENCE_S)
            staying.enter_context(Listener(embedded.port, v5=False))
            sink.publish(an_event(1))
            sink.flush(PATIENCE_S)
        embedded.stop()
        assert "mqtt-broker" not in {thread.name for thread in threading.enumerate()}


def test_it_bears_with_connections_that_never_say_a_word(embedded: EmbeddedBroker, tmp_path: Path) -> None:
    with socket.create_connection(("127.0.0.1", embedded.port)):
        pass
    with socket.create_connection(("127.0.0.1", embedded.port)):
        assert make_sink(embedded.port, tmp_path, protocol="3.1.1").probe(PATIENCE_S)
        embedded.stop()
    gc.collect()  # what was left open would warn here, and warnings are errors


def test_a_port_that_is_taken_is_named(embedded: EmbeddedBroker) -> None:
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{embedded.port}: Address already in use"):
        EmbeddedBroker(embedded.port).start()


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amqtt", None)
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    with pytest.raises(MissingExtraError, match=r"ser-agent\[broker\]"):
        EmbeddedBroker(free_port()).start()
