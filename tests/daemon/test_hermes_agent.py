"""A voice assistant's satellites, whole: real speech into a real broker, each satellite's events out of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.agent import AgentProcess
from support.hermes import Satellites, chunks, joined, silence, wav
from support.mqtt import Listener, Mosquitto, retained, wait_until

from ser_agent.audio_files import read_utterance

if TYPE_CHECKING:
    from ser_agent.audio import Samples

pytestmark = [pytest.mark.model, pytest.mark.broker, pytest.mark.timeout(300)]

DATA = Path(__file__).parents[1] / "data"
NAMES = ("1066_IOM_NEU_XX", "1076_ITH_DIS_XX", "1011_ITH_HAP_XX", "1031_IEO_SAD_LO")
CLIPS = [read_utterance(DATA / f"{name}.opus") for name in NAMES]
SPEED = 1000.0
"""Messages come all at once, as after a network's hiccup: it saves time, and the sound is the same."""
PATIENT = {"silent_after_s": 60.0, "buffer_s": 10.0}
"""For a test machine that stands still now and then."""


def config(broker: Mosquitto, **source: object) -> dict[str, Any]:
    return {
        "site": "hub",
        "stats_interval_s": 1,
        "source": {"type": "hermes", "port": broker.port, **source},
        "sinks": [{"type": "mqtt", "port": broker.port, "retry_max_s": 0.5}],
    }


def spoken(clip: Samples) -> Samples:
    return joined([silence(0.5), clip, silence(1.2)])


def hermes(sound: Samples) -> list[bytes]:
    return [wav(chunk) for chunk in chunks(sound)]


def stats(listener: Listener) -> dict[str, Any]:
    last = listener.last("hub/stats")
    return {} if last is None else json.loads(last)


def is_settled(told: dict[str, Any]) -> bool:
    settled: int = told["published"] + sum(told["dropped"].values())
    return bool(told["utterances"] == settled)


def test_four_satellites_at_once_give_each_its_own_event_session_and_device(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with AgentProcess(tmp_path, config(broker, **PATIENT)) as agent, Satellites(broker.port) as satellites:
        agent.wait_for("READY=1")
        sounds = {f"Room {number}": hermes(spoken(clip)) for number, clip in enumerate(CLIPS)}
        satellites.session("Room 2", "the-session", started=True)
        satellites.play(sounds, SPEED)
        satellites.session("Room 2", "the-session", started=False)
        wait_until(lambda: len(listener.event_ids()) >= len(CLIPS), f"events come:\n{agent.log}", 60)
        wait_until(lambda: stats(listener).get("published") == len(CLIPS), "the books tell them", 60)
        kept = retained(broker.port)
        assert agent.stop() == 0, agent.log
    listener.catch_up()
    events = [heard for heard in listener.on("/event") if heard.topic.startswith("ser-agent/")]
    assert Counter(heard.topic for heard in events) == {f"ser-agent/room-{n}/event": 1 for n in range(len(CLIPS))}
    for heard in events:
        room = str(heard.fields["agent"])
        assert heard.topic == f"ser-agent/{room}/event"
        assert heard.fields["session_id"] == ("the-session" if room == "room-2" else None)
        assert heard.fields["source"] == "hermes"
        assert json.loads(kept[f"ser-agent/{room}/emotion"].payload)["emotion"] == heard.fields["emotion"]
        device = json.loads(kept[f"homeassistant/device/ser-agent-{room}/config"].payload)["device"]
        assert device["via_device"] == "ser-agent-hub"
        assert listener.last(f"{room}/speech") == "OFF"
        assert listener.payloads(f"{room}/availability")[-2:] == ["online", "offline"]
    assert stats(listener)["dropped"] == {}
    assert stats(listener)["source"]["sites"] <= len(CLIPS)


def test_losses_repetitions_disorder_and_garbage_leave_one_event_for_each_utterance(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    clean = hermes(spoken(CLIPS[0]))
    lossy = [message for number, message in enumerate(clean) if number % 17]
    twice = [message for message in clean for _ in range(2)]
    swapped = [clean[number ^ 1] for number in range(len(clean) - len(clean) % 2)]
    garbage = [message for pair in zip(clean, [b"garbage"] * len(clean), strict=True) for message in pair]
    sounds = {"lossy": lossy, "twice": twice, "swapped": swapped, "garbage": garbage}
    with (
        AgentProcess(tmp_path, config(broker, **PATIENT)) as agent,
        Satellites(broker.port) as satellites,
    ):
        agent.wait_for("READY=1")
        satellites.play(sounds, SPEED)
        wait_until(lambda: len(listener.event_ids()) >= len(sounds), f"events come:\n{agent.log}", 60)
        wait_until(
            lambda: stats(listener).get("source", {}).get("garbage") == len(clean), "garbage is counted", 60
        )
        wait_until(lambda: is_settled(stats(listener)), "all is accounted for", 60)
        assert agent.stop() == 0, agent.log
    listener.catch_up()
    agents = [heard.fields["agent"] for heard in listener.on("/event")]
    assert sorted(map(str, agents)) == sorted(sounds)
    last = stats(listener)
    assert last["source"]["duplicates"] >= len([m for m in clean if any(m[44:])]) // 2


def test_a_satellite_that_is_switched_off_while_it_speaks_ends_its_utterance(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    cut = hermes(joined([silence(0.5), CLIPS[0]]))[:-4]
    settings = config(broker, silent_after_s=4.0, away_after_s=4.5)
    with AgentProcess(tmp_path, settings) as agent, Satellites(broker.port) as satellites:
        agent.wait_for("READY=1")
        satellites.play({"attic": cut}, SPEED)
        wait_until(lambda: listener.last("attic/availability") == "offline", f"it is away:\n{agent.log}", 60)
        wait_until(listener.event_ids, f"its event comes:\n{agent.log}", 60)
        assert listener.last("attic/microphone") == listener.last("attic/speech") == "OFF"
        assert listener.last("hub/availability") == "online"
        assert agent.stop() == 0, agent.log
    (event,) = [heard.fields for heard in listener.on("attic/event")]
    assert event["end_reason"] == "source_lost"
