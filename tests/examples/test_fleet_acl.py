"""The fleet's access lists: a satellite speaks for its own site alone, in a real mosquitto and by EMQX's rules."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.emqx import Verdict, rules_of, verdict
from support.examples import EXAMPLES
from support.mqtt import Listener, Mosquitto, wait_until
from support.security import make_authority, make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXAMPLE = EXAMPLES / "fleet"
USERS = ("living-room", "kitchen", "worker-1", "worker-2", "homeassistant")
SHARED = "$share/workers/ser-agent/utterances/#"

SAYS: list[tuple[str, str, Verdict]] = [
    ("living-room", "ser-agent/utterances/living-room", "allow"),
    ("living-room", "ser-agent/utterances/kitchen", "deny"),
    ("living-room", "ser-agent/living-room/event", "allow"),
    ("living-room", "ser-agent/kitchen/event", "deny"),
    ("living-room", "ser-agent/answers/living-room", "deny"),
    ("living-room", "ser-agent/answers/kitchen", "deny"),
    ("living-room", "ser-agent/workers/worker-1", "deny"),
    ("living-room", "homeassistant/device/ser-agent-living-room/config", "allow"),
    ("living-room", "homeassistant/device/ser-agent-kitchen/config", "deny"),
    ("living-room", "zigbee2mqtt/lock/set", "deny"),
    ("worker-1", "ser-agent/answers/living-room", "allow"),
    ("worker-1", "ser-agent/answers/kitchen", "allow"),
    ("worker-1", "ser-agent/workers/worker-1", "allow"),
    ("worker-1", "ser-agent/workers/worker-2", "deny"),
    ("worker-1", "ser-agent/utterances/living-room", "deny"),
    ("worker-1", "ser-agent/living-room/event", "deny"),
    ("worker-1", "ser-agent/living-room/listen/set", "deny"),
    ("homeassistant", "ser-agent/living-room/listen/set", "allow"),
    ("homeassistant", "ser-agent/living-room/event", "deny"),
    ("homeassistant", "ser-agent/utterances/living-room", "deny"),
    ("homeassistant", "ser-agent/answers/living-room", "deny"),
]
"""Who publishes what, and whether that gets anywhere."""

HEARS: list[tuple[str, str, str, Verdict]] = [
    ("living-room", "ser-agent/answers/living-room", "ser-agent/answers/living-room", "allow"),
    ("living-room", "ser-agent/answers/+", "ser-agent/answers/kitchen", "deny"),
    ("living-room", "ser-agent/workers/+", "ser-agent/workers/worker-1", "allow"),
    ("living-room", "ser-agent/living-room/listen/set", "ser-agent/living-room/listen/set", "allow"),
    ("living-room", "ser-agent/kitchen/listen/set", "ser-agent/kitchen/listen/set", "deny"),
    ("living-room", "ser-agent/utterances/kitchen", "ser-agent/utterances/kitchen", "deny"),
    ("living-room", "$share/spies/ser-agent/utterances/#", "ser-agent/utterances/kitchen", "deny"),
    ("worker-1", SHARED, "ser-agent/utterances/kitchen", "allow"),
    ("worker-1", "ser-agent/answers/+", "ser-agent/answers/kitchen", "deny"),
    ("worker-1", "ser-agent/kitchen/event", "ser-agent/kitchen/event", "deny"),
    ("homeassistant", "ser-agent/+/event", "ser-agent/kitchen/event", "allow"),
    ("homeassistant", "ser-agent/utterances/#", "ser-agent/utterances/kitchen", "deny"),
    ("homeassistant", "ser-agent/answers/#", "ser-agent/answers/kitchen", "deny"),
]
"""Who subscribes to what, and whether a message on that topic reaches them."""

VISITS = itertools.count(1)
"""No two listeners share a session: one would hear what the other has left behind."""


def settings(folder: Path) -> str:
    """The example's configuration but for its listener, with its paths below a folder, and one who may do all."""
    text = (EXAMPLE / "mosquitto" / "mosquitto.conf").read_text().replace("/etc/mosquitto/", f"{folder}/")
    text = text.replace("max_queued_messages 1000", "")  # the tests' broker has its own
    return re.sub(r"^(listener|cafile|certfile|keyfile|tls_version) .*$", "", text, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def guarded(mosquitto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """The broker with the example's users, each with its name for a password, and ``anyone``, who may do all."""
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed")
    folder = tmp_path_factory.mktemp("fleet")
    passwords = folder / "passwords"
    passwords.touch()
    for user in (*USERS, "anyone"):
        subprocess.run([tool, "-b", passwords, user, user], check=True, capture_output=True)
    acl = (EXAMPLE / "mosquitto" / "fleet.acl").read_text()
    (folder / "fleet.acl").write_text(f"{acl}\nuser anyone\ntopic readwrite #\n")
    with Mosquitto(mosquitto, folder, settings(folder), anonymous=False) as broker:
        yield broker


def listener(broker: Mosquitto, user: str, topic: str = "#", name: str = "client") -> Listener:
    return Listener(broker.port, topic=topic, name=f"{user}-{name}-{next(VISITS)}", user=(user, user))


@pytest.mark.broker
@pytest.mark.parametrize("user", dict.fromkeys(user for user, *_ in SAYS))
def test_mosquitto_lets_nobody_say_what_is_not_theirs_to_say(guarded: Mosquitto, user: str) -> None:
    mine = [(topic, expected) for who, topic, expected in SAYS if who == user]
    with listener(guarded, "anyone") as anyone, listener(guarded, user, "nothing/at/all", "speaker") as speaker:
        for topic, _ in mine:
            speaker.say(topic, f"from {user}")
        anyone.say("said/it/all", "behind it")
        wait_until(lambda: anyone.on("said/it/all"), "what was said later arrives")
        heard = {heard.topic for heard in anyone.heard if heard.payload == f"from {user}"}
    assert heard == {topic for topic, expected in mine if expected == "allow"}


@pytest.mark.broker
@pytest.mark.parametrize("case", HEARS, ids=lambda case: f"{case[0]}-{case[2]}-{case[3]}")
def test_mosquitto_lets_nobody_hear_what_is_not_theirs_to_hear(
    guarded: Mosquitto, case: tuple[str, str, str, Verdict]
) -> None:
    user, subscription, topic, expected = case
    with (
        listener(guarded, user, subscription, "ears") as ears,
        listener(guarded, user, f"ser-agent/{user}/#", "marker") as marker,
        listener(guarded, "anyone", "nothing/at/all", "speaker") as speaker,
    ):
        speaker.say(topic, "a secret")
        speaker.say(f"ser-agent/{user}/stats", "behind it")
        wait_until(lambda: marker.heard, "what was said later arrives")
        if expected == "allow":
            wait_until(lambda: ears.on(topic), "it is heard")
        assert bool(ears.on(topic)) == (expected == "allow")


@pytest.mark.parametrize(("user", "topic", "expected"), SAYS)
def test_emqxs_rules_say_the_same_of_publishing(user: str, topic: str, expected: Verdict) -> None:
    assert verdict(rules_of(EXAMPLE / "emqx" / "acl.conf"), user, "publish", topic) == expected


@pytest.mark.parametrize(("user", "subscription", "topic", "expected"), HEARS)
def test_emqxs_rules_say_the_same_of_subscribing(
    user: str, subscription: str, topic: str, expected: Verdict
) -> None:
    assert verdict(rules_of(EXAMPLE / "emqx" / "acl.conf"), user, "subscribe", subscription) == expected


@pytest.mark.parametrize("user", ["utterances", "answers", "workers"])
def test_emqxs_rules_give_nothing_to_who_is_called_as_a_part_of_the_topics(user: str) -> None:
    rules = rules_of(EXAMPLE / "emqx" / "acl.conf")
    assert verdict(rules, user, "publish", f"ser-agent/{user}/living-room") == "deny"
    assert verdict(rules, user, "subscribe", f"ser-agent/{user}/#") == "deny"


def test_emqxs_rules_keep_nobodys_speech() -> None:
    rules = rules_of(EXAMPLE / "emqx" / "acl.conf")
    assert verdict(rules, "kitchen", "publish", "ser-agent/utterances/kitchen", retain=True) == "deny"
    assert verdict(rules, "kitchen", "publish", "ser-agent/kitchen/info", retain=True) == "allow"


@pytest.mark.broker
def test_mosquitto_takes_every_line_of_the_example(mosquitto: str, tmp_path: Path) -> None:
    authority = make_authority(tmp_path, "ca")
    make_certificate(authority, "broker", "DNS:broker.lan")
    (tmp_path / "passwords").touch()
    shutil.copy(EXAMPLE / "mosquitto" / "fleet.acl", tmp_path)
    text = (EXAMPLE / "mosquitto" / "mosquitto.conf").read_text()
    text = text.replace("/etc/mosquitto/certs/", f"{tmp_path}/").replace("/etc/mosquitto/", f"{tmp_path}/")
    text = re.sub(r"^(listener|max_queued_messages) .*$", "", text, flags=re.MULTILINE)
    with Mosquitto(mosquitto, tmp_path, text) as broker:
        log = (tmp_path / f"mosquitto-{broker.port}.log").read_text()
    assert ": Error" not in log
    warnings = [line for line in log.splitlines() if "Warning" in line]
    assert all("does not contain '%c' or '%u'" in line for line in warnings), warnings


def test_both_lists_are_of_the_same_people() -> None:
    acl = (EXAMPLE / "mosquitto" / "fleet.acl").read_text()
    named = re.findall(r"^user (\S+)$", acl, flags=re.MULTILINE)
    assert sorted(named) == sorted(USERS)
