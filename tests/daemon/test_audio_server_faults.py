"""The daemon while its audio server hangs: it says so, can be stopped, and goes on once the server does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.agent import AgentProcess
from support.mqtt import Listener, Mosquitto, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.pulse import PulseServer

pytestmark = [pytest.mark.pulse, pytest.mark.broker, pytest.mark.model, pytest.mark.timeout(300)]

PATIENCE_S = 60.0


def config(broker: Mosquitto) -> dict[str, Any]:
    return {"site": "attic", "sinks": [{"type": "mqtt", "port": broker.port, "retry_max_s": 0.5}]}


def test_while_the_audio_server_hangs_the_agent_says_so_lives_and_hears_again_afterwards(
    pulse: PulseServer, broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with AgentProcess(tmp_path, config(broker)) as agent:
        agent.wait_for("READY=1", patience_s=120)
        wait_until(lambda: listener.last("attic/microphone") == "ON", "the microphone is reported")
        pulse.hang()
        wait_until(lambda: listener.last("attic/microphone") == "OFF", "the loss is reported", PATIENCE_S)
        wait_until(
            lambda: "source still away: the audio system does not answer" in agent.log,
            f"the log tells the reason:\n{agent.log}",
            PATIENCE_S,
        )
        assert listener.last("attic/availability") == "online"
        pulse.go_on()
        wait_until(
            lambda: listener.last("attic/microphone") == "ON", f"the return is reported:\n{agent.log}", PATIENCE_S
        )
        assert agent.stop() == 0, agent.log


def test_an_agent_whose_audio_server_hangs_can_be_stopped(
    pulse: PulseServer, broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with AgentProcess(tmp_path, config(broker)) as agent:
        agent.wait_for("READY=1", patience_s=120)
        pulse.hang()
        wait_until(lambda: listener.last("attic/microphone") == "OFF", "the loss is reported", PATIENCE_S)
        assert agent.stop() == 0, agent.log
    listener.catch_up()
    assert listener.payloads("attic/availability")[-1] == "offline"


def test_a_microphone_that_never_delivered_anything_ends_the_agent_with_the_code_for_what_cannot_be_had(
    pulse: PulseServer, broker: Mosquitto, tmp_path: Path
) -> None:
    pulse.control("suspend-source", "microphone", "1")
    with AgentProcess(tmp_path, config(broker)) as agent:
        assert agent.wait(patience_s=120) == 69
        assert "has delivered nothing for" in agent.log
