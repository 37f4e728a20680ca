"""Commands over a real broker to a real agent: what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.commanding import HEALTH, PLACE, ask, life, wait_until_up
from support.hub import Hub
from support.life import Radio
from support.mqtt import Mosquitto, retained, wait_until
from support.rig import PAUSE, SPEECH, speech

from ser_agent.agent import Outcome
from ser_agent.broker import EmbeddedBroker
from ser_agent.state import StateFile
from ser_agent.steering import HARD_MUTE

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.broker


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_switch_releases_the_microphone_and_opens_it_again(
    broker: Mosquitto, hub: Hub, tmp_path: Path, protocol: str
) -> None:
    source = Radio(speech(PAUSE), speech(PAUSE, SPEECH, PAUSE))
    with life(broker.port, tmp_path, source, mqtt={"protocol": protocol}):
        wait_until_up(hub)
        wait_until(lambda: hub.last("test/microphone") == "ON", "it hears")
        assert hub.state("listening") == "ON"
        hub.turn("OFF")
        wait_until(lambda: hub.state("listening") == "OFF", "the switch follows")
        assert not source.is_open
        wait_until(lambda: hub.state("microphone") == "OFF", "the microphone is released")
        assert hub.is_available()
        assert retained(broker.port)[f"{PLACE}/listen/state"].payload == "OFF"
        hub.turn("ON")
        wait_until(lambda: hub.state("listening") == "ON", "the switch follows")
        wait_until(hub.event_ids, "it hears again")
    assert hub.on("response/listen") == []


def test_a_mute_survives_a_restart_of_the_agent(broker: Mosquitto, hub: Hub, tmp_path: Path) -> None:
    state = StateFile()
    for _ in range(2):
        source = Radio(speech(PAUSE))
        with life(broker.port, tmp_path, source, state=state):
            wait_until_up(hub)
            hub.turn("OFF")
            wait_until(lambda: hub.state("listening") == "OFF", "it is muted")
            wait_until(lambda: hub.state("microphone") == "OFF", "it does not hear")
        wait_until(lambda: hub.last("test/availability") == "offline", "it has gone")
        for tail in ("speech", "microphone"):  # as a power cut would leave them
            hub.say(f"{PLACE}/{tail}", "ON", retain=True)
    assert source.opened == 0


def test_a_hard_mute_answers_with_an_error_and_the_switch_goes_back(
    broker: Mosquitto, hub: Hub, tmp_path: Path
) -> None:
    source = Radio(speech(PAUSE))
    with life(broker.port, tmp_path, source, hard_mute=True):
        wait_until_up(hub)
        before = len(hub.on("listen/state"))
        hub.turn("ON")
        wait_until(lambda: hub.on("response/listen"), "it is refused")
        assert hub.on("response/listen")[0].fields["error"] == HARD_MUTE
        wait_until(lambda: hub.payloads("listen/state")[before:] == ["OFF"], "the switch goes back")
    assert source.opened == 0


def test_the_threshold_applies_at_once(broker: Mosquitto, hub: Hub, tmp_path: Path) -> None:
    source = Radio(speech(PAUSE, SPEECH, PAUSE), speech(PAUSE, SPEECH, PAUSE))
    with life(broker.port, tmp_path, source):
        wait_until(lambda: len(hub.event_ids()) == 1, "the first event")
        hub.slide("0.71")
        wait_until(lambda: hub.state("threshold") == "0.71", "the number follows")
        hub.turn("OFF")
        hub.turn("ON")
        wait_until(lambda: len(hub.event_ids()) == 2, "the second event")
    assert [heard.fields["emotion"] for heard in hub.on("test/event")] == ["happy", "uncertain"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_request_is_answered_with_its_transaction(
    broker: Mosquitto, hub: Hub, tmp_path: Path, protocol: str
) -> None:
    with life(broker.port, tmp_path, mqtt={"protocol": protocol}) as living:
        wait_until_up(hub)
        response = ask(hub, "health_check", '{"transaction": "a7"}')
        assert (response["status"], response["error"], response["transaction"]) == ("ok", None, "a7")
        assert response["data"]["healthy"] is True
        assert response["data"]["instance"] == living.instance()
        assert ask(hub, "health_check", '{"transaction": 7}')["transaction"] == 7
        assert ask(hub, "health_check", "{}")["transaction"] is None
        assert ask(hub, "health_check")["transaction"] is None


def test_a_reload_is_answered_before_the_agent_ends(broker: Mosquitto, hub: Hub, tmp_path: Path) -> None:
    with life(broker.port, tmp_path) as living:
        wait_until_up(hub)
        assert ask(hub, "reload", '{"transaction": "r"}') == {
            "data": {},
            "status": "ok",
            "error": None,
            "transaction": "r",
        }
        living.wait()
    assert living.outcome is Outcome.RELOAD


def test_the_button_restarts_and_a_refusal_says_why(broker: Mosquitto, hub: Hub, tmp_path: Path) -> None:
    with life(broker.port, tmp_path, objection=lambda _: "started a moment ago"):
        wait_until_up(hub)
        hub.press()
        wait_until(lambda: hub.on("response/restart"), "it is answered")
        assert hub.on("response/restart")[0].fields["error"] == "started a moment ago"
    wait_until(lambda: hub.last("test/availability") == "offline", "it has gone")
    with life(broker.port, tmp_path) as living:
        wait_until_up(hub)
        hub.press()
        living.wait()
    assert living.outcome is Outcome.RESTART


def test_commands_work_with_the_embedded_broker(tmp_path: Path, unused_port: int) -> None:
    pytest.importorskip("amqtt", reason="the extra 'broker' is not installed")
    embedded = EmbeddedBroker(unused_port)
    embedded.start()
    try:
        with Hub(unused_port, v5=False, name="hub") as hub, life(unused_port, tmp_path):
            wait_until_up(hub)
            hub.turn("OFF")
            wait_until(lambda: hub.state("listening") == "OFF", "it is muted")
            hub.slide("0.25")
            wait_until(lambda: hub.state("threshold") == "0.25", "the number follows")
            assert ask_embedded(hub)["status"] == "ok"
    finally:
        embedded.stop()


def ask_embedded(hub: Hub) -> dict[str, Any]:
    hub.say(HEALTH, '{"transaction": "e"}')
    wait_until(lambda: hub.on("response/health_check"), "it is answered")
    return dict(hub.on("response/health_check")[0].fields)
