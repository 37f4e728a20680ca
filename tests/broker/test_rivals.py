"""Two agents with one site, and an agent whose site was another one before."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.events import an_event, some_info
from support.life import Life, Radio
from support.mqtt import PATIENCE_S, Listener, Mosquitto, break_connection, make_sink, opened, retained, wait_until
from support.rig import PAUSE, SPEECH, Rig, speech

from ser_agent.commands import SetListening
from ser_agent.messages import AgentInfo, Availability
from ser_agent.sinks.mqtt_visits import answers
from ser_agent.state import StateFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ser_agent.sinks.mqtt import MqttSink

pytestmark = pytest.mark.broker

ELDER, YOUNGER = (
    "another agent has come with the site 'test'",
    "another agent has the site 'test' and was here first",
)


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser_agent.sinks.mqtt_courier.STAND_BACK_S", 0.3)
    monkeypatch.setattr("ser_agent.sinks.mqtt_visits.ANSWER_S", 3.0)


@contextmanager
def life(port: int, folder: Path, source: Radio | None = None, **mqtt: Any) -> Iterator[tuple[Life, MqttSink]]:  # noqa: ANN401
    rig = Rig(source or Radio(speech(PAUSE)))
    sink = make_sink(port, folder, desk=rig.desk, **mqtt)
    rig.sinks = {**rig.sinks, "mqtt": sink}
    with Life(rig) as living:
        yield living, sink


def is_connected(sink: MqttSink) -> bool:
    return sink._courier is not None and sink._courier.connection is not None


def attempts_of(sink: MqttSink) -> int:
    assert sink._courier is not None
    return sink._courier.attempts


def is_standing_back(sink: MqttSink) -> bool:
    courier = sink._courier
    return courier is not None and courier._inbox.has_elder and courier.connection is None


@pytest.mark.parametrize(("protocol", "same_client"), [("5", True), ("3.1.1", True), ("5", False)])
def test_of_two_agents_with_one_site_the_younger_stands_back_until_the_elder_has_gone(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str, *, same_client: bool
) -> None:
    caplog.set_level(logging.INFO)
    first, second = (None, None) if same_client else ("one", "other")
    listener = Listener(broker.port)
    spoken = Radio(speech(PAUSE), speech(PAUSE, SPEECH, PAUSE))
    with (
        life(broker.port, tmp_path, protocol=protocol, client_id=first) as (elder, elders_sink),
        asked_once_back(broker.port, elder),
    ):
        wait_until(lambda: listener.last("test/availability") == "online", "the elder is up")
        with life(broker.port, tmp_path, spoken, protocol=protocol, client_id=second) as (younger, sink):
            wait_until(lambda: is_standing_back(sink), "the younger stands back")
            wait_until(lambda: YOUNGER in caplog.text and ELDER in caplog.text, "both say so")
            wait_until(lambda: is_connected(elders_sink), "the elder is connected")
            wait_until(lambda: instance_at(broker.port) == elder.instance(), "the elder's word stands")
            assert retained(broker.port)["ser-agent/test/availability"].payload == "online"
            attempts = attempts_of(elders_sink)
            for on in (False, True):
                younger.ask(SetListening(on=on))
            wait_until(lambda: younger.agent.books.published == 1, "the younger hears something")
            wait_until(lambda: checks(listener) >= 2, "the younger looks whether the elder is still there")
            assert attempts_of(elders_sink) == attempts, "and does not disturb it"
            assert listener.event_ids() == []
            elder.stop()
            wait_until(lambda: instance_at(broker.port) == younger.instance(), "the younger takes over")
            wait_until(listener.event_ids, "and delivers what it has heard meanwhile")
    listener.close()
    assert caplog.text.count(ELDER) == 1
    assert caplog.text.count(YOUNGER) == 1
    assert "the other agent has gone" in caplog.text


@contextmanager
def asked_once_back(port: int, elder: Life) -> Iterator[None]:
    """Let an elder that was thrown out come back before it is asked: else there is a minute for that."""

    def ask(*question: Any) -> bool:  # noqa: ANN401 - as the real one is asked
        wait_until(lambda: instance_at(port) == elder.instance(), "the elder's word stands")
        return answers(*question)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ser_agent.sinks.mqtt_courier.answers", ask)
        yield


def instance_at(port: int) -> object:
    found = retained(port).get("ser-agent/test/info")
    return found and found.fields["instance"]


def checks(listener: Listener) -> int:
    return len(listener.on("test/response/health_check"))


def test_what_a_dead_agent_left_is_no_reason_to_stand_back(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with opened(make_sink(broker.port, tmp_path)) as sink:
        for message in (informed("00-long-ago"), Availability(online=True)):
            sink.publish(message)
        sink.flush(PATIENCE_S)
    listener.say("ser-agent/test/availability", "online", retain=True)  # its will came never
    with opened(make_sink(broker.port, tmp_path)) as sink:
        for message in (informed("01-today"), Availability(online=True)):
            sink.publish(message)
        sink.flush(PATIENCE_S)
        wait_until(lambda: instance_at(broker.port) == "01-today", "it tells who it is")
        assert not is_standing_back(sink)


def test_a_broker_that_has_forgotten_the_last_hour_is_soon_told_the_truth(
    broker: Mosquitto, listener: Listener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with opened(make_sink(broker.port, tmp_path)) as sink:
        for message in (informed("05-today"), Availability(online=True)):
            sink.publish(message)
        sink.flush(PATIENCE_S)
        break_connection(sink)
        listener.say("ser-agent/test/info", '{"instance": "04-yesterday"}', retain=True)
        wait_until(lambda: "was here first" in caplog.text or instance_at(broker.port) == "05-today", "it is seen")
        sink.publish(an_event(1))
        wait_until(listener.event_ids, "it goes on, since nobody answers")
        wait_until(lambda: instance_at(broker.port) == "05-today", "its word stands")


@pytest.mark.parametrize(
    "payload",
    ["", "{", "[]", '{"instance": null}', '{"instance": 7}', '{"instance": ""}', '{"instance":"%s"}' % ("0" * 65)],
)
def test_rubbish_on_info_is_passed_over(
    broker: Mosquitto, listener: Listener, tmp_path: Path, payload: str
) -> None:
    with opened(make_sink(broker.port, tmp_path)) as sink:
        for message in (informed("05"), Availability(online=True)):
            sink.publish(message)
        sink.flush(PATIENCE_S)
        listener.say("ser-agent/test/info", payload)
        sink.publish(an_event(1))
        wait_until(listener.event_ids, "it goes on")
        assert not is_standing_back(sink)


def test_a_former_site_is_cleared_and_so_is_its_device(
    broker: Mosquitto, listener: Listener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    state = StateFile(tmp_path / "state.json")
    live_once(broker.port, tmp_path, state, "attic")
    assert {site_of(topic) for topic in retained(broker.port)} == {"attic"}
    live_once(broker.port, tmp_path, state, "cellar")
    wait_until(lambda: {site_of(topic) for topic in retained(broker.port)} == {"cellar"}, "the attic is cleared")
    assert "clearing what was left under the former site 'attic'" in caplog.text
    state.close()


def live_once(port: int, folder: Path, state: StateFile, site: str, **keys: Any) -> None:  # noqa: ANN401
    """Be up under a site, until all has been told that there is to tell."""
    with opened(make_sink(port, folder, site=site, state=state, **keys)) as sink:
        for message in (informed(f"instance-{site}", site), Availability(online=True), an_event(1, site=site)):
            sink.publish(message)
        sink.flush(PATIENCE_S)
        assert sink._courier is not None
        wait_until(lambda: sink._courier and sink._courier.connection, "it is connected")
        if sink._leftovers is not None and sink._leftovers.subscriptions:
            wait_until(
                lambda: sink._leftovers and not sink._leftovers.subscriptions, "the former site is examined"
            )
        sink.flush(PATIENCE_S)


def informed(instance: str, site: str = "test") -> AgentInfo:
    return some_info().model_copy(update={"instance": instance, "site": site})


def site_of(topic: str) -> str:
    return next(site for site in ("attic", "cellar", "loft") if site in topic)


def test_a_site_that_had_its_name_changed_twice_while_the_broker_was_away_is_cleared(
    mosquitto: str, tmp_path: Path
) -> None:
    state = StateFile()
    broker = Mosquitto(mosquitto, tmp_path)
    with broker:
        live_once(broker.port, tmp_path, state, "attic")
    with opened(make_sink(broker.port, tmp_path, site="loft", state=state)) as sink:
        sink.publish(informed("instance-loft", "loft"))
    with broker, opened(make_sink(broker.port, tmp_path, site="cellar", state=state)) as sink:
        sink.publish(informed("instance-cellar", "cellar"))
        wait_until(
            lambda: {site_of(topic) for topic in retained(broker.port)} == {"cellar"}, "the attic is cleared"
        )


def test_a_former_site_that_is_somebody_else_s_by_now_is_left_alone(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    state = StateFile()
    live_once(broker.port, tmp_path, state, "attic")
    with opened(make_sink(broker.port, tmp_path, site="attic")) as stranger:
        for message in (informed("somebody-else", "attic"), Availability(online=True)):
            stranger.publish(message)
        stranger.flush(PATIENCE_S)
        live_once(broker.port, tmp_path, state, "cellar")
        kept = retained(broker.port)
    assert kept["ser-agent/attic/availability"].payload == "online"
    assert kept["homeassistant/device/ser-agent-attic/config"].payload


def test_two_sinks_of_one_agent_do_not_take_each_other_for_a_former_site(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    state = StateFile()
    for _ in range(2):
        live_once(broker.port, tmp_path, state, "attic")
        live_once(broker.port, tmp_path, state, "attic", base_topic="second")
    kept = retained(broker.port)
    assert "ser-agent/attic/info" in kept
    assert "second/attic/info" in kept
