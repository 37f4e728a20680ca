"""A whole agent and a real Home Assistant: switches, restarts, the automation of ``docs/home-assistant.md``."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.home_assistant import HomeAssistant
from support.life import Life, Radio
from support.mqtt import Listener, Mosquitto, make_sink, wait_until
from support.rig import PAUSE, SPEECH, Rig, speech

from ser_agent.testing import FakeClassifier

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "home-assistant.md"
EVENT, EMOTION, SWITCH = "event.attic_emotion_heard", "sensor.attic_emotion", "switch.attic_listening"
ENTITIES = (
    *(EVENT, EMOTION, SWITCH, "sensor.attic_confidence", "binary_sensor.attic_speech"),
    *("binary_sensor.attic_microphone", "number.attic_threshold", "button.attic_restart"),
)
PATIENCE_S = 60.0


def newcomers_automation() -> dict[str, object]:
    """What somebody makes who follows the guide."""
    found = re.search(r"```jinja\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return {
        "alias": "Newcomer",
        "triggers": [{"trigger": "state", "entity_id": EVENT}],
        "conditions": [{"condition": "template", "value_template": found[1].strip()}],
        "actions": [{"action": "persistent_notification.create", "data": {"message": "light"}}],
    }


def on_mqtt(topic: str, service: str, entity_id: str, **data: object) -> dict[str, object]:
    """An automation through which the test uses Home Assistant."""
    return {
        "alias": topic,
        "triggers": [{"trigger": "mqtt", "topic": topic}],
        "actions": [{"action": service, "target": {"entity_id": entity_id}, "data": data}],
    }


@pytest.fixture
def house(mosquitto: str, tmp_path: Path) -> Iterator[tuple[HomeAssistant, Listener]]:
    """A home with an agent that hears somebody speak whenever its switch has been turned on."""
    hass = os.environ.get("HASS") or shutil.which("hass")
    if hass is None:
        pytest.skip("hass is not installed, and HASS does not say where it is")
    with Mosquitto(mosquitto, tmp_path) as broker, Listener(broker.port) as listener:
        assistant = HomeAssistant(hass, tmp_path / "assistant", listener, broker.port)
        controls = [
            on_mqtt("test/off", "switch.turn_off", SWITCH),
            on_mqtt("test/on", "switch.turn_on", SWITCH),
            on_mqtt("test/slide", "number.set_value", "number.attic_threshold", value=0.95),
            on_mqtt("test/press", "button.press", "button.attic_restart"),
        ]
        assistant.configure({"automation": [newcomers_automation(), *controls]})
        source = Radio(speech(PAUSE), *[speech(PAUSE, SPEECH, PAUSE)] * 9)
        rig = Rig(source, FakeClassifier(lambda _: {"sad": 0.9, "happy": 0.1}), objection=lambda _: "not now")
        rig.sinks = {**rig.sinks, "mqtt": make_sink(broker.port, tmp_path, site="attic", desk=rig.desk)}
        with assistant, Life(rig):
            wait_for_all(assistant)
            yield assistant, listener


def wait_for_all(assistant: HomeAssistant) -> None:
    for entity_id in ENTITIES:
        wait_until(
            lambda entity_id=entity_id: assistant.state(entity_id) not in {None, "unavailable"},  # type: ignore[misc]
            f"{entity_id} is there",
            PATIENCE_S,
        )


def test_home_assistant_and_the_agent_live_together_through_restarts(
    house: tuple[HomeAssistant, Listener],
) -> None:
    assistant, listener = house

    def sees(entity_id: str, state: str) -> None:
        wait_until(lambda: assistant.state(entity_id) == state, f"{entity_id} becomes {state}", PATIENCE_S)

    def speak() -> None:
        listener.say("test/off", "")
        sees(SWITCH, "off")
        sees("binary_sensor.attic_microphone", "off")
        listener.say("test/on", "")
        sees(SWITCH, "on")

    speak()
    wait_until(
        lambda: assistant.calls("persistent_notification.create"), "the newcomer's automation runs", PATIENCE_S
    )
    listener.say("test/slide", "")
    sees("number.attic_threshold", "0.95")
    speak()
    wait_until(lambda: assistant.state(EVENT, "event_type") == '"uncertain"', "the threshold applies", PATIENCE_S)
    assert len(assistant.calls("persistent_notification.create")) == 1
    listener.say("test/press", "")
    wait_until(lambda: listener.on("response/restart"), "the button asks for a restart")
    assistant.stop()
    assistant.start()
    wait_for_all(assistant)
    sees("number.attic_threshold", "0.95")
    assert assistant.calls("persistent_notification.create") == [{"message": "light"}], "no old event counts"
    assert assistant.complaints("mqtt", "automation", "template") == []
