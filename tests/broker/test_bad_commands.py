"""Commands that make no sense, come too fast, or are kept by the broker: nothing happens, and it is told why."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.commanding import HEALTH, PLACE, ask, life, wait_until_up
from support.hub import Hub
from support.mqtt import PATIENCE_S, Listener, Mosquitto, wait_until

from ser_agent.messages import Availability
from ser_agent.metrics import resident_mb
from ser_agent.sinks.mqtt_commands import Allowance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.life import Life


pytestmark = pytest.mark.broker

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
