from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.agent import AgentProcess
from support.mqtt import Listener, Mosquitto, wait_until
from support.wyoming import InLoop, Recogniser, SttServer, load_info, recognise

from ser_agent.audio_files import read_utterance
from ser_agent.cli import main
from ser_agent.wyoming_address import Address, address

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parents[1] / "data"
PAUSE = np.zeros(12_000, dtype=np.int16)


@pytest.fixture
def server() -> Iterator[SttServer]:
    loop = InLoop()
    with SttServer(loop, Recogniser(delay_s=0.4)) as running:
        yield running
    loop.close()


def config(broker: Mosquitto) -> dict[str, Any]:
    return {
        "site": "kitchen",
        "classifier": {"threads": 1},
        "sinks": [{"type": "mqtt", "port": broker.port, "retry_max_s": 0.5}],
    }


@pytest.mark.model
@pytest.mark.broker
@pytest.mark.timeout(240)
def test_home_assistant_learns_from_the_transcript_and_the_broker_how_a_command_was_said(
    server: SttServer, broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    addresses = ("--listen", "tcp://127.0.0.1:0", "--upstream", f"tcp://127.0.0.1:{server.port}")
    clip = read_utterance(DATA / "1061_IEO_ANG_LO.opus")
    arguments = (*addresses, "--max-delay-ms", "10000")
    with AgentProcess(tmp_path, config(broker), *arguments, command="wyoming-proxy") as proxy:
        proxy.wait_for("READY=1", 120.0)
        listening = re.search(r"listening at (\S+) for", proxy.log)
        assert listening is not None, proxy.log
        port = address(listening[1]).port
        assert asyncio.run(load_info(port)).asr[0].name == "parrot"
        transcript = asyncio.run(recognise(port, np.concatenate([PAUSE, clip, PAUSE])))
        wait_until(lambda: listener.on("ser-agent/kitchen/event"), "the event comes", 60.0)
        proxy.send(signal.SIGTERM)
        assert proxy.wait() == 0, proxy.log
        assert "transcripts: 1 with an emotion, 0 too early, 0 without" in proxy.log
    wait_until(lambda: listener.last("kitchen/availability") == "offline", "its leave is heard")
    (event,) = [heard.fields for heard in listener.on("ser-agent/kitchen/event")]
    assert event["source"] == "wyoming-proxy"
    assert transcript is not None
    assert transcript.text == "turn on the light"
    told = (transcript.context or {})["emotion"]
    assert {name: told[name] for name in ("emotion", "confidence", "emotions", "duration_s")} == {
        name: event[name] for name in ("emotion", "confidence", "emotions", "duration_s")
    }
    assert listener.payloads("kitchen/availability")[-2:] == ["online", "offline"]
    assert listener.last("kitchen/microphone") == "ON"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [("tcp://0.0.0.0:10350", Address("0.0.0.0", 10350)), ("tcp://[::1]:9/", Address("::1", 9))],
)
def test_an_address_is_read(uri: str, expected: Address) -> None:
    assert address(uri) == expected
    assert address(str(expected)) == expected


@pytest.mark.parametrize(
    "uri", ["", "whisper", "whisper:10300", "udp://a:1", "tcp://a", "tcp://a:99999", "tcp://a:1/b"]
)
def test_what_is_no_address_is_told_with_an_example(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["wyoming-proxy", "--upstream", uri])
    assert stop.value.code == 2
    assert "tcp://HOST:PORT" in capsys.readouterr().err


@pytest.mark.parametrize("delay", ["-1", "ten", "10001"])
def test_a_delay_that_makes_no_sense_is_told(delay: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["wyoming-proxy", "--upstream", "tcp://a:1", "--max-delay-ms", delay])
    assert "expected milliseconds, 0 to 10000" in capsys.readouterr().err
