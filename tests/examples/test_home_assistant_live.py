"""The examples in a real Home Assistant, told by the agent's MQTT sink over a real broker what is heard."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support.events import an_event
from support.examples import HOME_ASSISTANT, SITE, automations, entity_ids, living_room_info, read
from support.home_assistant import HomeAssistant
from support.mqtt import Listener, Mosquitto, make_sink, opened, wait_until

from ser_agent.labels import Emotion
from ser_agent.messages import Availability, ListeningState, MicrophoneState, SpeechState, ThresholdState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.sinks.mqtt import MqttSink

pytestmark = [pytest.mark.broker, pytest.mark.timeout(600)]

EVENT = "event.living_room_emotion_heard"
EMOTION = "sensor.living_room_emotion"
REACT_TO_HAPPINESS = {
    "alias": "Cheers",
    "use_blueprint": {
        "path": "ser_agent/react_to_emotion.yaml",
        "input": {
            "heard": EVENT,
            "emotions": ["happy", "surprise"],
            "min_confidence": 0.5,
            "only_if": [{"condition": "state", "entity_id": "input_boolean.guests", "state": "off"}],
            "actions": [
                {
                    "action": "persistent_notification.create",
                    "data": {"message": "{{ emotion }}, {{ confidence }}, {{ duration_s }} s"},
                }
            ],
        },
    },
}
GUESTS = "test/guests"
TELL_OF_GUESTS = {
    "alias": "Guests come and go",
    "triggers": [{"trigger": "mqtt", "topic": GUESTS}],
    "actions": [
        {
            "action": "input_boolean.turn_{{ trigger.payload }}",
            "target": {"entity_id": "input_boolean.guests"},
        }
    ],
}
SWITCH_ON = {"action": "input_boolean.turn_on", "target": {"entity_id": "input_boolean.lit"}}
THE_HOUSE: dict[str, Any] = {
    "input_boolean": {name: {"initial": False} for name in ("guests", "lit", "muted")},
    "light": [
        {
            "platform": "template",
            "lights": {
                "living_room": {
                    "turn_on": SWITCH_ON,
                    "turn_off": [],
                    "set_level": SWITCH_ON,
                    "set_temperature": SWITCH_ON,
                }
            },
        }
    ],
    "media_player": [
        {
            "platform": "universal",
            "name": "Living room",
            "state_template": "playing",
            "attributes": {"is_volume_muted": "input_boolean.muted"},
            "commands": {
                "volume_mute": {
                    "action": "input_boolean.turn_{{ 'on' if is_volume_muted else 'off' }}",
                    "target": {"entity_id": "input_boolean.muted"},
                }
            },
        }
    ],
    "template": [
        {
            "sensor": [
                {
                    "name": "Face",
                    "state": read(HOME_ASSISTANT / "dashboard.yaml")["views"][0]["cards"][0]["content"],
                }
            ]
        }
    ],
}


class Home:
    """A Home Assistant with the examples, and the agent's sink."""

    def __init__(self, assistant: HomeAssistant, sink: MqttSink, listener: Listener) -> None:
        self.assistant = assistant
        self.listener = listener
        self._sink = sink
        self._events = 0

    def hear(self, emotion: str, confidence: float = 0.87) -> None:
        """An utterance is heard, and has reached Home Assistant."""
        self._events += 1
        before = self.assistant.state(EVENT)
        self._sink.publish(an_event(self._events, emotion=emotion, confidence=confidence, site=SITE))
        wait_until(lambda: self.assistant.state(EVENT) != before, "Home Assistant takes the event")

    def publish(self, *messages: Any) -> None:  # noqa: ANN401 - messages of the agent
        """The agent tells something."""
        for message in messages:
            self._sink.publish(message)

    def wait_for(self, entity_id: str, state: str) -> None:
        """Wait until an entity has a state."""
        wait_until(lambda: self.assistant.state(entity_id) == state, f"{entity_id} becomes {state}")


@pytest.fixture(scope="module")
def home(hass: str, mosquitto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home that the agent is at home in."""
    folder = tmp_path_factory.mktemp("home")
    with Mosquitto(mosquitto, folder) as broker, Listener(broker.port) as listener:
        assistant = HomeAssistant(hass, folder / "assistant", listener, broker.port)
        shutil.copytree(HOME_ASSISTANT / "blueprints", assistant.folder / "blueprints")
        assistant.configure({"automation": [*automations(), REACT_TO_HAPPINESS, TELL_OF_GUESTS], **THE_HOUSE})
        sink = make_sink(broker.port, folder, site=SITE, hold_seconds=0.5)
        with assistant, opened(sink):
            sink.publish(living_room_info())
            for message in (
                Availability(online=True),
                MicrophoneState(connected=True),
                SpeechState(speaking=False),
                ListeningState(on=True),
                ThresholdState(value=0.4),
            ):
                sink.publish(message)
            home = Home(assistant, sink, listener)
            home.wait_for(EMOTION, "none")
            home.wait_for(EVENT, "unknown")
            yield home


def test_home_assistant_has_every_entity_of_the_discovery_message_and_no_complaint(home: Home) -> None:
    enabled = {name for name, component in entity_ids().items() if component.get("enabled_by_default", True)}
    for entity_id in enabled:
        wait_until(lambda entity_id=entity_id: home.assistant.state(entity_id), f"{entity_id} is there")  # type: ignore[misc]
    assert home.assistant.complaints("mqtt", "automation", "blueprint", "template", "config") == []


def test_the_lights_turn_warm_and_dim_when_somebody_sounds_sad_once(home: Home) -> None:
    home.hear("neutral")
    home.hear("sad", confidence=0.55)
    home.hear("sad")
    wait_until(lambda: home.assistant.calls("light.turn_on"), "the light is turned on")
    home.hear("sad")
    home.wait_for("input_boolean.lit", "on")
    assert home.assistant.calls("light.turn_on") == [
        {
            "entity_id": ["light.living_room"],
            "brightness_pct": 30,
            "color_temp_kelvin": 2200,
            "transition": 10,
        }
    ]


def shout(home: Home) -> None:
    """Somebody sounds angry, speaks on until the music is muted, and is quiet until it plays again."""
    home.publish(SpeechState(speaking=True))
    home.hear("angry")
    home.wait_for("input_boolean.muted", "on")
    home.publish(SpeechState(speaking=False))
    home.wait_for(EMOTION, "none")
    home.wait_for("input_boolean.muted", "off")


def test_the_music_is_muted_when_somebody_sounds_angry_until_nobody_speaks(home: Home) -> None:
    shout(home)
    muted = [call["is_volume_muted"] for call in home.assistant.calls("media_player.volume_mute")]
    assert muted == [True, False]


def test_an_agent_that_comes_back_repeats_no_old_event(home: Home) -> None:
    shout(home)
    heard = home.assistant.state(EVENT)
    calls = len(home.assistant.calls("media_player.volume_mute"))
    home.publish(Availability(online=False))
    home.wait_for(EVENT, "unavailable")
    home.publish(Availability(online=True))
    home.wait_for(EVENT, str(heard))
    home.hear("neutral")
    home.wait_for(EMOTION, "none")
    assert len(home.assistant.calls("media_player.volume_mute")) == calls


def test_the_blueprint_does_what_its_inputs_say(home: Home) -> None:
    home.hear("happy", confidence=0.45)
    home.hear("surprise")
    wait_until(lambda: home.assistant.calls("persistent_notification.create"), "the blueprint's action is taken")
    assert home.assistant.calls("persistent_notification.create") == [{"message": "surprise, 0.87, 2.31 s"}]


def test_the_microphone_is_closed_while_guests_are_here(home: Home) -> None:
    for state in ("on", "off"):
        asked = len(home.listener.on("/listen/set"))
        home.listener.say(GUESTS, state)
        wait_until(lambda asked=asked: len(home.listener.on("/listen/set")) > asked, "the switch is turned")  # type: ignore[misc]
    assert home.listener.payloads("/listen/set") == ["OFF", "ON"]


@pytest.mark.parametrize("emotion", Emotion)
def test_the_dashboard_shows_the_face_of_what_is_heard(home: Home, emotion: str) -> None:
    home.publish(SpeechState(speaking=True))
    home.hear(emotion)
    wait_until(lambda: emotion.title() in (home.assistant.state("sensor.face") or ""), "the face is shown")
    assert "87 % sure" in (home.assistant.state("sensor.face") or "")
    home.publish(SpeechState(speaking=False))


def test_what_home_assistant_sees_of_an_event_is_what_the_automations_use(home: Home) -> None:
    home.hear("fear")
    wait_until(lambda: home.assistant.state(EVENT, "event_type") == '"fear"', "the attributes come")
    assert json.loads(home.assistant.state(EVENT, "confidence") or "") == 0.87
    assert home.assistant.complaints("mqtt", "automation", "blueprint", "template") == []
