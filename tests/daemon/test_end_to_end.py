"""The main job, whole: speech into a microphone, emotion events out of a broker."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from support.agent import AgentProcess
from support.mqtt import Listener, Mosquitto, wait_until

from ser_agent.audio_files import read_utterance

if TYPE_CHECKING:
    from support.pulse import PulseServer

pytestmark = [pytest.mark.model, pytest.mark.broker, pytest.mark.timeout(180)]

DATA = Path(__file__).parents[1] / "data"
CLIPS = ("1066_IOM_NEU_XX", "1076_ITH_DIS_XX", "1011_ITH_HAP_XX")


def config(broker: Mosquitto, **sections: object) -> dict[str, Any]:
    return {"site": "attic", "sinks": [{"type": "mqtt", "port": broker.port, "retry_max_s": 0.5}], **sections}


def spoken(folder: Path, names: tuple[str, ...] = CLIPS) -> Path:
    """The clips one after the other, with pauses of 1.2 s, as one file."""
    pause = np.zeros(round(1.2 * 16_000), dtype=np.int16)
    parts = [part for name in names for part in (read_utterance(DATA / f"{name}.opus"), pause)]
    path = folder / "spoken.wav"
    soundfile.write(path, np.concatenate([pause, *parts]), 16_000)
    return path


def spoken_again_and_again(folder: Path) -> dict[str, Any]:
    """A source that speaks the first clip, in real time, for ever."""
    return {"type": "files", "paths": [str(spoken(folder, CLIPS[:1]))], "realtime": True, "loop": True}


@pytest.mark.pulse
def test_speech_into_the_microphone_gives_one_event_for_each_utterance_in_order(
    pulse: PulseServer, broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with AgentProcess(tmp_path, config(broker)) as agent:
        agent.wait_for("READY=1")
        wait_until(lambda: listener.last("attic/microphone") == "ON", "the microphone is reported")
        pulse.play(spoken(tmp_path))
        wait_until(lambda: len(listener.event_ids()) >= len(CLIPS), f"events come:\n{agent.log}")
        assert agent.stop() == 0, agent.log
    listener.catch_up()
    events = [heard.fields for heard in listener.on("attic/event")]
    assert len(events) == len(CLIPS)
    starts = [event["offset_s"] for event in events]
    assert starts == sorted(starts)  # type: ignore[type-var]
    for event in events:
        scores = [score["score"] for score in event["emotions"]]  # type: ignore[attr-defined]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) <= 1.0 + 1e-3
        assert event["source"] == "microphone"
        assert event["event_type"] == event["emotion"]
        assert event["latency_ms"] < 60_000  # type: ignore[operator]
    assert listener.payloads("attic/availability")[-2:] == ["online", "offline"]
    assert listener.last("attic/microphone") == "OFF"
    speech = listener.payloads("attic/speech")
    assert speech.count("ON") == len(CLIPS)


@pytest.mark.pulse
def test_a_microphone_that_goes_and_comes_back_needs_no_restart(
    pulse: PulseServer, broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with AgentProcess(tmp_path, config(broker)) as agent:
        agent.wait_for("READY=1")
        wait_until(lambda: listener.last("attic/microphone") == "ON", "the microphone is reported")
        pulse.kill()
        wait_until(lambda: listener.last("attic/microphone") == "OFF", "the loss is reported")
        assert listener.last("attic/availability") == "online"
        pulse.start()
        wait_until(lambda: listener.last("attic/microphone") == "ON", f"the return is reported:\n{agent.log}", 45)
        pulse.play(spoken(tmp_path, CLIPS[:1]))
        wait_until(listener.event_ids, f"an event comes:\n{agent.log}")
        assert agent.stop() == 0


def test_a_file_at_full_speed_gives_the_same_utterances_as_in_real_time(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    found = []
    for realtime in (False, True):
        source = {"type": "files", "paths": [str(spoken(tmp_path, CLIPS[:2]))], "realtime": realtime}
        before = len(listener.event_ids())
        folder = tmp_path / str(realtime)
        folder.mkdir()
        with AgentProcess(folder, config(broker, source=source)) as agent:
            assert agent.wait() == 0, agent.log
        wait_until(partial(_has_events, listener, before + 2), "both events come")
        events = [heard.fields for heard in listener.on("attic/event")][before:]
        found.append([(e["offset_s"], e["duration_s"], e["emotion"], e["emotions"]) for e in events])
    assert found[0] == found[1]


def _has_events(listener: Listener, count: int) -> bool:
    return len(listener.event_ids()) == count


def test_reloading_takes_what_is_valid_and_leaves_what_is_not(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    source = spoken_again_and_again(tmp_path)
    with AgentProcess(tmp_path, config(broker, source=source)) as agent:
        agent.wait_for("READY=1")
        agent.configure({"sight": "cellar"})
        agent.send(signal.SIGHUP)
        wait_until(lambda: "unknown key: did you mean 'site'?" in agent.log, f"the mistake is told:\n{agent.log}")
        assert agent.process is not None
        assert agent.process.poll() is None
        agent.configure(config(broker, source=source) | {"site": "cellar"})
        agent.send(signal.SIGHUP)
        wait_until(
            lambda: listener.last("cellar/availability") == "online", f"the new site comes up:\n{agent.log}"
        )
        assert "offline" in listener.payloads("attic/availability")
        assert agent.stop() == 0


def test_a_valid_configuration_that_cannot_start_gives_way_to_the_old_one(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    source = spoken_again_and_again(tmp_path)
    with AgentProcess(tmp_path, config(broker, source=source)) as agent:
        agent.wait_for("READY=1")
        agent.configure(config(broker, source={"type": "files", "paths": ["/nowhere.wav"]}))
        agent.send(signal.SIGHUP)
        wait_until(lambda: "going back to the old one" in agent.log, f"the old one comes back:\n{agent.log}")
        agent.wait_for("STATUS=last heard: ")
        wait_until(lambda: listener.last("attic/availability") == "online", f"the old one is up:\n{agent.log}")
        assert agent.stop() == 0


def test_reloading_with_other_keys_of_the_classifier_makes_it_anew(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    source = spoken_again_and_again(tmp_path)
    with AgentProcess(tmp_path, config(broker, source=source)) as agent:
        agent.wait_for("STATUS=last heard: ")
        agent.configure(config(broker, source=source, classifier={"top": 2, "min_confidence": 1.0}))
        agent.send(signal.SIGHUP)
        wait_until(lambda: agent.log.count("listening to files") == 2, f"it starts anew:\n{agent.log}")
        listener.catch_up()
        before = len(listener.on("attic/event"))
        wait_until(lambda: len(listener.on("attic/event")) > before, f"events come again:\n{agent.log}")
        event = listener.on("attic/event")[before].fields
        assert event["emotion"] == "uncertain"
        assert len(event["emotions"]) == 2  # type: ignore[arg-type]
        assert agent.stop() == 0


def test_the_watchdog_is_fed_and_the_status_tells_the_last_event(broker: Mosquitto, tmp_path: Path) -> None:
    source = spoken_again_and_again(tmp_path)
    with AgentProcess(tmp_path, config(broker, source=source)) as agent:
        agent.wait_for("READY=1")
        agent.wait_for("WATCHDOG=1")
        agent.wait_for("STATUS=last heard: ")
        agent.wait_for("WATCHDOG=1")
        agent.send(signal.SIGTERM)
        agent.wait_for("STOPPING=1")
        assert agent.wait() == 0


def test_a_broker_that_is_not_there_yet_gets_the_events_when_it_comes(mosquitto: str, tmp_path: Path) -> None:
    late = Mosquitto(mosquitto, tmp_path)
    source = {"type": "files", "paths": [str(spoken(tmp_path, CLIPS[:2]))], "realtime": True}
    with late, Listener(late.port) as listener:  # its session waits on the broker's disk
        late.stop()
        with AgentProcess(tmp_path, config(late, source=source)) as agent:
            agent.wait_for("STATUS=last heard: ")
            late.start()
            wait_until(lambda: len(listener.event_ids()) == 2, f"both events come:\n{agent.log}")
            assert agent.wait() == 0
