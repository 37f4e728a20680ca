from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.mqtt import PATIENCE_S, Listener, Mosquitto, wait_until

from ser_agent.errors import SourceError
from ser_agent.testing import context
from ser_agent.voices.mqtt import HermesVoice, TopicVoice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.assistant_voice import Speaking

pytestmark = pytest.mark.broker

TOPIC = "home/assistant/speaking"


class Watched:
    """A watch that is open, and what it told."""

    def __init__(self, watch: HermesVoice | TopicVoice) -> None:
        self.told: list[Speaking] = []
        self.watch = watch
        watch.open(self.told.append)

    def wait_for(self, *expected: tuple[bool, str | None]) -> None:
        wait_until(lambda: len(self.told) >= len(expected), f"it tells {expected}")
        for speaking, (on, site) in zip(self.told, expected, strict=True):
            assert speaking.on is on
            assert speaking.sites is None if site is None else site in (speaking.sites or ())


def voice(kind: type[HermesVoice | TopicVoice], port: int, **keys: Any) -> Any:  # noqa: ANN401 - either
    options = kind.Options.model_validate_json(json.dumps({"host": "127.0.0.1", "port": port, **keys}))
    return kind(options, context())  # type: ignore[arg-type]  # each its own options


def subscribed(listener: Listener, watched: Watched) -> None:
    """Wait until the broker passes on what is said."""

    def heard() -> bool:
        listener.say("hermes/tts/sayFinished", '{"siteId": "mark"}')
        return bool(watched.told)

    wait_until(heard, "it listens")


@pytest.fixture
def opened(broker: Mosquitto, listener: Listener) -> Iterator[list[Watched]]:
    made: list[Watched] = []
    yield made
    for watched in made:
        watched.watch.close()


def test_hermes_says_at_which_site_it_speaks(broker: Mosquitto, listener: Listener, opened: list[Watched]) -> None:
    watched = Watched(voice(HermesVoice, broker.port))
    opened.append(watched)
    subscribed(listener, watched)
    say = {"text": "half past ten", "siteId": "Küche", "id": "a"}
    listener.say("hermes/tts/say", "nonsense")
    listener.say("hermes/tts/say", json.dumps(say))
    listener.say("hermes/tts/say", json.dumps({**say, "id": "b"}))
    listener.say("hermes/tts/sayFinished", json.dumps({"siteId": "Küche", "id": "a"}))
    listener.say("hermes/tts/sayFinished", json.dumps({"siteId": "Küche", "id": "b"}))

    def of_the_kitchen() -> list[bool]:
        return [speaking.on for speaking in watched.told if "kuche" in (speaking.sites or ())]

    wait_until(lambda: len(of_the_kitchen()) == 4, "all is told")
    assert of_the_kitchen() == [True, True, True, False]


def test_other_satellites_speech_is_of_no_interest_where_some_are_named(
    broker: Mosquitto, listener: Listener, opened: list[Watched]
) -> None:
    watched = Watched(voice(HermesVoice, broker.port, sites=["kitchen", "mark"]))
    opened.append(watched)
    subscribed(listener, watched)
    listener.say("hermes/tts/say", json.dumps({"siteId": "attic", "id": "a"}))
    listener.say("hermes/tts/say", json.dumps({"siteId": "kitchen", "id": "a"}))
    wait_until(lambda: any(speaking.on for speaking in watched.told), "it is told")
    assert [speaking.sites for speaking in watched.told if speaking.on] != []
    assert not any("attic" in (speaking.sites or ()) for speaking in watched.told)


def test_a_topic_says_whether_it_speaks_also_what_the_broker_has_kept(
    broker: Mosquitto, listener: Listener, opened: list[Watched]
) -> None:
    listener.say(TOPIC, "playing", retain=True)
    watched = Watched(voice(TopicVoice, broker.port, topic=TOPIC, speaking=["playing", "ON"]))
    opened.append(watched)
    watched.wait_for((True, None))
    listener.say(TOPIC, "idle")
    watched.wait_for((True, None), (False, None))


def test_a_broker_that_goes_leaves_nobody_deaf_and_is_found_again(
    broker: Mosquitto, listener: Listener, opened: list[Watched]
) -> None:
    listener.say(TOPIC, "ON", retain=True)
    watched = Watched(voice(TopicVoice, broker.port, topic=TOPIC))
    opened.append(watched)
    watched.wait_for((True, None))
    broker.stop()
    wait_until(lambda: watched.told[-1].on is False, "nobody knows")
    broker.start()
    wait_until(lambda: watched.told[-1].on is True, "it speaks still")


def test_a_check_tells_whether_the_broker_answers(broker: Mosquitto) -> None:
    watch = voice(TopicVoice, broker.port, topic=TOPIC)
    told = watch.probe(PATIENCE_S)
    assert told == f"MQTT broker 127.0.0.1:{broker.port} speaks MQTT 5; to be listened to: {TOPIC}"
    broker.stop()
    with pytest.raises(SourceError, match=f"MQTT broker 127.0.0.1:{broker.port}: connection refused"):
        watch.probe(PATIENCE_S)


def test_a_password_that_cannot_be_read_is_told(broker: Mosquitto) -> None:
    watch = voice(HermesVoice, broker.port, username="me", password_file="absent")
    with pytest.raises(SourceError, match="assistant: password_file: there is no file"):
        watch.open(lambda _: None)
