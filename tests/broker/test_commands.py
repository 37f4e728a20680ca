"""Commands over a real broker to a real agent: what they do, what bad ones don't, and what a flood does."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.hub import Hub
from support.life import Life, Radio
from support.mqtt import PATIENCE_S, Listener, Mosquitto, make_sink, retained, wait_until
from support.rig import PAUSE, SPEECH, Rig, speech

from ser_agent.agent import Outcome
from ser_agent.broker import EmbeddedBroker
from ser_agent.messages import Availability
from ser_agent.metrics import resident_mb
from ser_agent.sinks.mqtt_commands import Allowance
from ser_agent.state import StateFile
from ser_agent.steering import HARD_MUTE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.broker

PLACE = "ser-agent/test"
HEALTH = f"{PLACE}/request/health_check"


@contextmanager
def life(port: int, folder: Path, source: Radio | None = None, **keys: Any) -> Iterator[Life]:  # noqa: ANN401
    """An agent called ``test`` that hears a radio; ``keys`` of the rig, or, as ``mqtt``, of the sink."""
    mqtt = {"discovery": {"enabled": True}, **keys.pop("mqtt", {})}
    rig = Rig(source or Radio(speech(PAUSE)), **keys)
    rig.sinks = {**rig.sinks, "mqtt": make_sink(port, folder, desk=rig.desk, state=rig.state, **mqtt)}
    with Life(rig) as living:
        yield living


def wait_until_up(listener: Listener) -> None:
    wait_until(lambda: listener.last("test/availability") == "online", "it is up")
    wait_until(lambda: listener.last("test/threshold/state"), "it tells its threshold")
    wait_until(lambda: listener.last("test/listen/state"), "it tells whether it listens")


def ask(listener: Listener, command: str, payload: str | bytes = b"") -> dict[str, Any]:
    """The next response to a command."""
    before = len(listener.on(f"response/{command}"))
    listener.say(f"{PLACE}/request/{command}", payload)
    wait_until(lambda: len(listener.on(f"response/{command}")) > before, f"{command} is answered")
    response = listener.on(f"response/{command}")[before]
    assert (response.qos, response.retain) == (1, False)
    return dict(response.fields)


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


BAD = [
    ("listen/set", b"", "listen", "expected ON or OFF"),
    ("listen/set", b"on", "listen", "expected ON or OFF"),
    ("listen/set", b"\xff\xfe", "listen", "expected ON or OFF"),
    ("listen/set", b"OFF" * 100_000, "listen", None),
    ("threshold/set", b"", "threshold", "not JSON"),
    ("threshold/set", b"1.01", "threshold", "expected a number from 0 to 1"),
    ("threshold/set", b"-0.1", "threshold", "expected a number from 0 to 1"),
    ("threshold/set", b"NaN", "threshold", "not JSON"),
    ("threshold/set", b"1e999", "threshold", "expected a number from 0 to 1"),
    ("threshold/set", b"true", "threshold", "expected a number from 0 to 1"),
    ("threshold/set", b'"0.5"', "threshold", "expected a number from 0 to 1"),
    ("threshold/set", b"\xff0.5", "threshold", "not UTF-8 text"),
    ("threshold/set", b"[" * 1024, "threshold", "not JSON"),
    ("request/restart", b"x" * 2000, "restart", "2000 bytes are too many: 1024 at most"),
    ("request/restart", b"PRESS", "restart", "not JSON"),
    ("request/restart", b"[1]", "restart", "expected nothing, or a JSON object"),
    ("request/restart", b'{"transaction": 1.5}', "restart", "transaction: expected a text of at most 64"),
    ("request/restart", b'{"now": true, "transaction": "a"}', "restart", "unknown key 'now'"),
    ("request/reboot", b"", "reboot", "no such command; there are health_check, reload, restart"),
    ("request/../x", b"", None, None),
    ("request/Reboot!", b"", None, None),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case[0]} {case[1][:20]!r}")
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_bad_command_changes_nothing_and_says_why(
    small_world: dict[str, tuple[Life, Hub]],
    caplog: pytest.LogCaptureFixture,
    protocol: str,
    case: tuple[str, bytes, str | None, str | None],
) -> None:
    living, hub = small_world[protocol]
    tail, payload, name, error = case
    place = f"ser-agent/test-{protocol[0]}"
    before = len(hub.on(f"response/{name}"))
    hub.say(f"{place}/{tail}", payload)
    if error is None:
        # Too long for us, whether or not the broker says so; or a name that no command could have.
        settle(hub, place)
    else:
        wait_until(lambda: len(hub.on(f"response/{name}")) > before, "it is answered")
        response = hub.on(f"response/{name}")[before].fields
        assert response["status"] == "error"
        assert str(response["error"]).startswith(error)
        assert response["transaction"] == ("a" if b'"a"' in payload else None)
        assert "ignored: " in caplog.text
    assert living.outcome is None
    controls = living.agent._steering.controls
    assert (controls.listening, controls.min_confidence) == (True, 0.4)


def settle(hub: Hub, place: str) -> None:
    """Wait until the agent has answered something that came later; it may have to connect again before."""
    token = secrets.token_hex(4)  # answers to the questions of an earlier test may still be to come

    def answered() -> bool:
        hub.say(f"{place}/request/health_check", json.dumps({"transaction": token}))
        return any(token in payload for payload in hub.payloads(f"{place}/response/health_check"))

    wait_until(answered, "it is still there")


class Endless(Allowance):
    """Lets everything through."""

    def take(self) -> bool:
        return True


@pytest.fixture(scope="module")
def small_world(mosquitto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Life, Hub]]]:
    """A broker with a hub and an agent for each version of MQTT, which all bad commands are sent to."""
    folder = tmp_path_factory.mktemp("world")
    with (
        pytest.MonkeyPatch.context() as patch,
        Mosquitto(mosquitto, folder) as broker,
        Hub(broker.port, name="hub") as hub,
    ):
        patch.setattr("ser_agent.sinks.mqtt_commands.Allowance", Endless)
        with (
            life(broker.port, folder, mqtt={"site": "test-5", "protocol": "5"}) as modern,
            life(broker.port, folder, mqtt={"site": "test-3", "protocol": "3.1.1"}) as old,
        ):
            for site in ("test-5", "test-3"):
                wait_until(lambda site=site: hub.last(f"{site}/availability") == "online", "both are up")  # type: ignore[misc]
            patch.undo()  # these two have theirs; the agents of other tests have not
            yield {"5": (modern, hub), "3.1.1": (old, hub)}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_retained_command_is_ignored_and_that_is_told_once(
    broker: Mosquitto, hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    hub.say(f"{PLACE}/listen/set", "OFF", retain=True)
    hub.say(f"{PLACE}/threshold/set", "0.9", retain=True)
    hub.say(f"{PLACE}/request/restart", "", retain=True)
    hub.say(f"{PLACE}/request/reload", "{}", retain=True)
    with life(broker.port, tmp_path, mqtt={"protocol": protocol}) as living:
        wait_until_up(hub)
        ask(hub, "health_check")
        broker.stop()
        broker.start()
        ask_until_answered(hub)
        assert hub.last("listen/state") == "ON"
        assert hub.last("threshold/state") == "0.4"
        assert living.outcome is None
    for tail in ("listen/set", "threshold/set", "request/"):
        assert caplog.text.count(f"a retained command on {tail} is ignored") == 1


def ask_until_answered(listener: Listener) -> None:
    """Ask again and again: while the agent is not connected nobody hears it."""
    before = len(listener.on("response/health_check"))

    def answered() -> bool:
        with contextlib.suppress(RuntimeError):  # the listener is not connected itself
            listener.say(HEALTH, "{}")
        return any('"ok"' in payload for payload in listener.payloads("response/health_check")[before:])

    wait_until(answered, "it answers", 3 * PATIENCE_S)


def test_a_flood_of_ten_thousand_commands_is_cut_off_told_of_and_survived(
    broker: Mosquitto, hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with life(broker.port, tmp_path) as living:
        wait_until_up(hub)
        ask(hub, "health_check")
        before_mb = resident_mb() or 0.0
        states = len(hub.on("threshold/state"))
        hub.shout(f"{PLACE}/threshold/set", "0.5", 10_000)
        hub.shout(f"{PLACE}/listen/set", "rubbish", 10_000)
        wait_until(lambda: "commands come too fast" in caplog.text, "the flood is noticed")
        ask_until_answered(hub)
        assert (resident_mb() or 0.0) - before_mb < 20
        assert len(hub.on("threshold/state")) - states < 200
        assert len(hub.on("response/listen")) < 200
        assert living.told(Availability) == [Availability(online=True)]
        assert living.outcome is None
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) < 200


PUBLISH = """
import sys
from paho.mqtt import publish
publish.single(sys.argv[2], bytes(30 * 2**20), qos=1, port=int(sys.argv[1]))
"""


def test_a_message_that_is_far_too_long_is_not_even_read(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Listener(broker.port, topic=f"{PLACE}/response/#") as listener,
        life(broker.port, tmp_path, mqtt={"protocol": "3.1.1"}) as living,
    ):
        ask_until_answered(listener)
        before_mb = resident_mb() or 0.0
        subprocess.run([sys.executable, "-c", PUBLISH, str(broker.port), f"{PLACE}/listen/set"], check=True)
        wait_until(lambda: "a message of more than 64 KiB" in caplog.text, "it hangs up")
        ask_until_answered(listener)
        assert (resident_mb() or 0.0) - before_mb < 20
        assert living.agent._steering.controls.listening


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
