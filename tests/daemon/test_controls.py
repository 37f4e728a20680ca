"""The daemon's controls with a real microphone, a real broker, and restarts."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.agent import AgentProcess
from support.mqtt import Listener, Mosquitto, wait_until
from support.third_party import CHEERFUL, install

if TYPE_CHECKING:
    from support.pulse import PulseServer

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(autouse=True)
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier that needs no model."""
    install(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


def config(broker: Mosquitto, **sections: object) -> dict[str, Any]:
    return {"site": "attic", "sinks": [{"type": "mqtt", "port": broker.port, "retry_max_s": 0.5}], **sections}


def recorders(pulse: PulseServer) -> int:
    """How many programs have the microphone open."""
    return len(pulse.control("list", "short", "source-outputs").splitlines())


@pytest.mark.pulse
def test_muting_really_releases_the_microphone_and_the_mute_survives_a_restart(
    pulse: PulseServer, broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with AgentProcess(tmp_path, config(broker), *CHEERFUL) as agent:
        agent.wait_for("READY=1")
        wait_until(lambda: listener.last("attic/microphone") == "ON", "it hears")
        beside = recorders(pulse) - 1  # what PulseAudio itself has open
        listener.say("ser-agent/attic/listen/set", "OFF")
        wait_until(lambda: listener.last("attic/listen/state") == "OFF", f"it is muted:\n{agent.log}")
        wait_until(lambda: recorders(pulse) == beside, "the microphone is released")
        assert listener.last("attic/microphone") == "OFF"
        assert agent.stop() == 0, agent.log
        agent.start()
        agent.wait_for("READY=1")
        wait_until(lambda: listener.last("attic/availability") == "online", "it is up again")
        for _ in range(3):
            agent.wait_for("WATCHDOG=1")
        assert recorders(pulse) == beside
        listener.say("ser-agent/attic/listen/set", "ON")
        wait_until(lambda: listener.last("attic/microphone") == "ON", f"it hears again:\n{agent.log}")
        assert recorders(pulse) == beside + 1
        assert agent.stop() == 0, agent.log


def test_a_reload_over_mqtt_does_what_sighup_does_and_a_site_that_changes_cleans_up(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    source = {"type": "files", "paths": [str(DATA / "1076_ITH_DIS_XX.opus")], "realtime": True, "loop": True}
    with AgentProcess(tmp_path, config(broker, source=source), *CHEERFUL) as agent:
        agent.wait_for("READY=1")
        wait_until(lambda: listener.last("attic/availability") == "online", "it is up")
        agent.configure({"sight": "cellar"})
        listener.say("ser-agent/attic/request/reload", '{"transaction": "bad"}')
        wait_until(lambda: listener.on("attic/response/reload"), "it is answered")
        response = listener.on("attic/response/reload")[0].fields
        assert response["status"] == "error"
        assert "unknown key: did you mean 'site'?" in str(response["error"])
        assert response["transaction"] == "bad"
        listener.say("ser-agent/attic/threshold/set", "0.65")
        wait_until(lambda: listener.last("attic/threshold/state") == "0.65", "the threshold is set")
        agent.configure(config(broker, source=source) | {"site": "cellar"})
        listener.say("ser-agent/attic/request/reload", '{"transaction": "good"}')
        wait_until(lambda: listener.last("cellar/availability") == "online", f"the new site is up:\n{agent.log}")
        assert listener.on("attic/response/reload")[1].fields["status"] == "ok"
        assert listener.last("cellar/threshold/state") == "0.65"
        for topic in ("ser-agent/attic/availability", "homeassistant/device/ser-agent-attic/config"):
            wait_until(lambda topic=topic: listener.last(topic) == "", "the old site is cleared")  # type: ignore[misc]
        agent.send(signal.SIGHUP)
        wait_until(lambda: len(listener.on("cellar/info")) == 2, "a reload by signal starts it anew")
        listener.say("ser-agent/cellar/request/restart", "")
        wait_until(lambda: listener.on("cellar/response/restart"), "it is answered")
        assert "started a moment ago: ask again in " in str(
            listener.on("cellar/response/restart")[0].fields["error"]
        )
        assert agent.stop() == 0, agent.log
