"""Appearing in Home Assistant, staying there through restarts of everybody, and leaving it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.events import an_event, some_info, some_stats
from support.hub import BIRTH, Hub
from support.mqtt import PATIENCE_S, Mosquitto, make_sink, opened, retained, wait_until

from ser_agent.cli import main
from ser_agent.errors import SinkError
from ser_agent.messages import Availability, ListeningState, MicrophoneState, SpeechState, ThresholdState
from ser_agent.state import StateFile

if TYPE_CHECKING:
    from pathlib import Path

    from ser_agent.sinks.mqtt import MqttSink

pytestmark = [pytest.mark.broker, pytest.mark.usefixtures("births_are_answered_soon")]

CONFIG = "homeassistant/device/ser-agent-test/config"
UP = (
    some_info(),
    ThresholdState(value=0.4),
    ListeningState(on=True),
    Availability(online=True),
    MicrophoneState(connected=True),
    SpeechState(speaking=True),
    SpeechState(speaking=False),
    an_event(1),
)
STATES = {"availability", "emotion", "info", "listen/state", "microphone", "mood", "speech", "threshold/state"}


def bring_up(sink: MqttSink, hub: Hub) -> None:
    for message in UP:
        sink.publish(message)
    sink.flush(PATIENCE_S)
    hub.catch_up()
    assert hub.event_ids(), "nothing has arrived"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_without_any_setting_the_agent_is_a_device_whose_states_are_there(
    broker: Mosquitto, hub: Hub, tmp_path: Path, protocol: str
) -> None:
    with opened(make_sink(broker.port, tmp_path, protocol=protocol)) as sink:
        bring_up(sink, hub)
        sink.publish(some_stats())
        wait_until(lambda: hub.state("utterances"), "the statistics come")
        assert hub.is_available()
        components = hub.device()["components"]
        assert set(components) == {
            *("emotion", "emotion_event", "confidence", "mood", "speech", "microphone"),
            *("listening", "threshold", "restart", "latency", "utterances"),
        }
        told = {key: hub.state(key) for key, component in components.items() if "state_topic" in component}
        assert told["speech"] == "OFF"
        assert told["microphone"] == "ON"
        assert told["listening"] == "ON"
        assert told["threshold"] == "0.4"
        assert json.loads(str(told["emotion"]))["emotion"] == "happy"
        assert None not in told.values()
    wait_until(lambda: not hub.is_available(), "it is offline")


def heard_since(hub: Hub, before: int) -> list[str]:
    """The topics of what was heard since then, the agent's own ones shortened, in order."""
    return [heard.topic.removeprefix("ser-agent/test/") for heard in hub.heard[before:]]


@pytest.mark.parametrize("retained_birth", [False, True])
def test_after_a_restart_of_home_assistant_everything_is_told_again_discovery_first(
    broker: Mosquitto, hub: Hub, tmp_path: Path, *, retained_birth: bool
) -> None:
    with opened(make_sink(broker.port, tmp_path)) as sink:
        bring_up(sink, hub)
        before = hub.restart(retained_birth=retained_birth)
        wait_until(lambda: {CONFIG, *STATES} <= set(heard_since(hub, before)), "everything is told again")
        told = [topic for topic in heard_since(hub, before) if topic != BIRTH]
    assert told[:2] == [CONFIG, "availability"]
    assert "event" not in told, "an event is never told twice"


def test_a_death_of_home_assistant_and_a_birth_from_before_are_no_reason_to_tell_anything(
    broker: Mosquitto, hub: Hub, tmp_path: Path
) -> None:
    hub.say(BIRTH, "online", retain=True)
    with opened(make_sink(broker.port, tmp_path)) as sink:
        bring_up(sink, hub)
        before = len(hub.heard)
        hub.say(BIRTH, "offline")
        hub.say(BIRTH, "\N{SNOWMAN}" * 10_000)
        hub.say(BIRTH, b"\xff\xfe")
        sink.publish(SpeechState(speaking=True))
        wait_until(lambda: hub.last("/speech") == "ON", "a later message arrives")
        assert {topic for topic in heard_since(hub, before) if topic != BIRTH} == {"speech"}


def test_many_births_are_answered_together(
    broker: Mosquitto, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser_agent.sinks.mqtt_inbox.BIRTH_DELAY_S", (1.0, 1.0))
    with opened(make_sink(broker.port, tmp_path)) as sink:
        bring_up(sink, hub)
        before = len(hub.heard)
        hub.shout(BIRTH, "online", 1000)
        wait_until(lambda: "mood" in heard_since(hub, before), "everything is told again")
    assert heard_since(hub, before).count(CONFIG) <= 3


def test_after_a_restart_of_the_broker_the_device_is_there_with_all_its_states(
    broker: Mosquitto, hub: Hub, tmp_path: Path
) -> None:
    with opened(make_sink(broker.port, tmp_path)) as sink:
        bring_up(sink, hub)
        broker.stop()
        before = len(hub.heard)
        broker.start()
        wait_until(lambda: {CONFIG, *STATES} <= set(heard_since(hub, before)), "everything is told again")
        wait_until(hub.is_available, "it is available")


def test_a_device_is_there_before_it_is_available_and_stays_discovered_when_the_agent_has_gone(
    broker: Mosquitto, hub: Hub, tmp_path: Path
) -> None:
    with opened(make_sink(broker.port, tmp_path)) as sink:
        bring_up(sink, hub)
    wait_until(lambda: not hub.is_available(), "it is offline")
    availability = hub.payloads("test/availability")
    since_online = hub.heard.index(hub.on("test/availability")[availability.index("online")])
    assert CONFIG in {heard.topic for heard in hub.heard[:since_online]}
    assert availability[-2:] == ["online", "offline"]
    assert CONFIG in retained(broker.port)


def test_several_agents_are_several_devices_which_share_nothing(
    broker: Mosquitto, hub: Hub, tmp_path: Path
) -> None:
    places = [("kitchen", "ser-agent"), ("bedroom", "ser-agent"), ("kitchen", "home/voices")]
    sinks = [make_sink(broker.port, tmp_path, site=site, base_topic=base) for site, base in places]
    with opened(sinks[0]), opened(sinks[1]), opened(sinks[2]):
        for sink, (site, _) in zip(sinks, places, strict=True):
            sink.publish(some_info().model_copy(update={"site": site, "instance": f"{id(sink)}"}))
            sink.publish(Availability(online=True))
            sink.flush(PATIENCE_S)
        wait_until(lambda: len(hub.devices) == 3, "three devices")
        wait_until(lambda: all(hub.is_available(device) for device in hub.devices), "all are available")
        assert all(sink._courier is not None and sink._courier.attempts == 1 for sink in sinks)
    components = [component for device in hub.devices.values() for component in device["components"].values()]
    unique_ids = [component["unique_id"] for component in components]
    assert len(set(unique_ids)) == len(unique_ids)
    topics = {
        (key, component.get("state_topic"), component.get("command_topic"))
        for device in hub.devices.values()
        for key, component in device["components"].items()
    }
    assert len(topics) == len(unique_ids)


def test_names_are_those_of_the_language_and_labels_stay(broker: Mosquitto, hub: Hub, tmp_path: Path) -> None:
    discovery = {"language": "de", "prefix": "ha", "birth_topic": "ha/status"}
    with opened(make_sink(broker.port, tmp_path, discovery=discovery)) as sink:
        bring_up(sink, hub)
    assert hub.component("listening")["name"] == "Zuhören"
    assert hub.component("emotion")["options"] == ["angry", "happy", "uncertain", "none"]
    assert {topic for topic in retained(broker.port) if topic.endswith("/config")} == {
        "ha/device/ser-agent-test/config"
    }


def test_discovery_that_is_switched_off_is_withdrawn(broker: Mosquitto, hub: Hub, tmp_path: Path) -> None:
    state = StateFile()
    with opened(make_sink(broker.port, tmp_path, state=state)) as sink:
        bring_up(sink, hub)
    assert CONFIG in retained(broker.port)
    with opened(make_sink(broker.port, tmp_path, state=state, discovery={"enabled": False})) as sink:
        sink.publish(some_info())
        sink.flush(PATIENCE_S)
        wait_until(lambda: CONFIG not in retained(broker.port), "the device is withdrawn")
        before = hub.restart()
        sink.publish(Availability(online=True))
        wait_until(lambda: hub.last("test/availability") == "online", "it is up")
        assert CONFIG not in heard_since(hub, before)


def test_a_former_prefix_is_withdrawn(broker: Mosquitto, hub: Hub, tmp_path: Path) -> None:
    state = StateFile()
    for prefix in ("homeassistant", "ha"):
        with opened(make_sink(broker.port, tmp_path, state=state, discovery={"prefix": prefix})) as sink:
            bring_up(sink, hub)
    assert [topic for topic in retained(broker.port) if topic.endswith("/config")] == [
        "ha/device/ser-agent-test/config"
    ]


def test_the_command_withdraws_the_device_whether_it_is_there_or_not(
    broker: Mosquitto, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with opened(make_sink(broker.port, tmp_path)) as sink:
        bring_up(sink, hub)
    arguments = ["discovery", "remove", "--set", "site=test", "--set", f"sinks.0.port={broker.port}"]
    for _ in range(2):
        assert main(arguments) == 0
        assert capsys.readouterr().out == (
            f"MQTT broker localhost:{broker.port}: nothing is kept on {CONFIG} any more\n"
        )
        assert CONFIG not in retained(broker.port)
    hub.catch_up()
    assert hub.devices == {}
    assert "ser-agent/test/info" in retained(broker.port)


def test_the_command_withdraws_the_satellites_of_the_agent_and_no_others(
    broker: Mosquitto, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = ["ser-agent-bath", "ser-agent-kitchen"]
    with opened(make_sink(broker.port, tmp_path)) as sink:
        bring_up(sink, hub)
        for site in ("kitchen", "bath"):
            sink.publish(Availability(online=True, site=site))
        sink.flush(PATIENCE_S)
    other = "homeassistant/device/ser-agent-other/config"
    with opened(make_sink(broker.port, tmp_path, site="other")) as sink:
        sink.publish(some_info().model_copy(update={"site": "other"}))
        sink.flush(PATIENCE_S)
    hub.say("homeassistant/device/garbage/config", "[", retain=True)
    hub.catch_up()
    assert {f"homeassistant/device/{name}/config" for name in theirs} < set(retained(broker.port))
    arguments = ["discovery", "remove", "--set", "site=test", "--set", f"sinks.0.port={broker.port}"]
    assert main(arguments) == 0
    withdrawn = [CONFIG, *(f"homeassistant/device/{name}/config" for name in theirs)]
    assert f"nothing is kept on {', '.join(withdrawn)} any more" in capsys.readouterr().out
    kept = {topic for topic in retained(broker.port) if topic.endswith("/config")}
    assert kept == {other, "homeassistant/device/garbage/config"}


def test_the_command_says_where_it_could_not_withdraw_and_that_there_is_nothing_to_withdraw(
    mosquitto: str, unused_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["discovery", "remove", "--set", f"sinks.0.port={unused_port}"]) == 69
    assert f"MQTT broker localhost:{unused_port}: connection refused" in capsys.readouterr().err
    assert main(["discovery", "remove", "--set", "sinks=[{type: console}]"]) == 0
    assert "no sink of the configuration appears in Home Assistant" in capsys.readouterr().out
    rules = tmp_path / "acl"
    rules.write_text("topic write ser-agent/#\n")
    with (
        Mosquitto(mosquitto, tmp_path, f"acl_file {rules}") as strict,
        pytest.raises(SinkError, match="it refuses what is published"),
    ):
        make_sink(strict.port, tmp_path).withdraw(PATIENCE_S)
