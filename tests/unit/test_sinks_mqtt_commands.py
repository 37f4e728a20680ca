from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_agent.commands import (
    Command,
    CommandDesk,
    HealthCheck,
    Reload,
    Reply,
    Request,
    Restart,
    SetListening,
    SetThreshold,
)
from ser_agent.sinks.mqtt_commands import BURST, PER_S, BadCommand, CommandGate, interpret
from ser_agent.sinks.mqtt_topics import Publication, Topics

if TYPE_CHECKING:
    from collections.abc import Callable

TOPICS = Topics("ser-agent", "attic")


class Gate:
    """A gate with a clock to set, and what came through and out of it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.taken: list[Request] = []
        self.told: list[Publication] = []
        desk = CommandDesk(self._take)
        self._gate = CommandGate(TOPICS, desk, self.told.append, lambda: self.now_s)

    def _take(self, request: Request) -> None:
        self.taken.append(request)
        request.answer(Reply())

    def take(self, tail: str, payload: bytes = b"", *, retained: bool = False) -> None:
        self._gate.take(tail, payload, retained=retained)


@pytest.mark.parametrize(
    ("tail", "payload", "command", "transaction"),
    [
        ("listen/set", b"ON", SetListening(on=True), None),
        ("listen/set", b"OFF", SetListening(on=False), None),
        ("threshold/set", b"0", SetThreshold(0.0), None),
        ("threshold/set", b"1", SetThreshold(1.0), None),
        ("threshold/set", b" 0.55\n", SetThreshold(0.55), None),
        ("threshold/set", b"0.123456", SetThreshold(0.1235), None),
        ("request/health_check", b"", HealthCheck(), None),
        ("request/reload", b"{}", Reload(), None),
        ("request/restart", b'{"transaction": null}', Restart(), None),
        ("request/restart", b'{"transaction": "x"}', Restart(), "x"),
        ("request/restart", b'{"transaction": -5}', Restart(), -5),
    ],
)
def test_what_a_command_means(tail: str, payload: bytes, command: Command, transaction: str | int | None) -> None:
    assert interpret(tail, payload) == (command, transaction)


@given(st.sampled_from(["listen/set", "threshold/set", "request/restart", "request/é"]), st.binary(max_size=2000))
def test_no_payload_whatever_breaks_anything(tail: str, payload: bytes) -> None:
    with contextlib.suppress(BadCommand):
        command, _ = interpret(tail, payload)
        assert isinstance(command, SetListening | SetThreshold | Restart)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_a_transaction_is_a_short_text_or_a_whole_number(value: object) -> None:
    payload = json.dumps({"transaction": value}).encode()
    if value is None or (isinstance(value, str) and len(value) <= 64 and len(payload) <= 1024):
        assert interpret("request/reload", payload) == (Reload(), value)
    else:
        with pytest.raises(BadCommand):
            interpret("request/reload", payload)


def test_what_went_well_is_told_by_the_state_and_a_request_by_its_response() -> None:
    gate = Gate()
    gate.take("listen/set", b"OFF")
    assert gate.told == []
    gate.take("request/reload", b'{"transaction": 1}')
    assert gate.told == [
        Publication(
            "ser-agent/attic/response/reload",
            b'{"data":{},"status":"ok","error":null,"transaction":1}',
            qos=1,
            retain=False,
        )
    ]


def test_a_name_that_no_command_could_have_is_not_answered() -> None:
    gate = Gate()
    for name in ("", "RESTART", "a/b", "é", "x" * 33, "$SYS"):
        gate.take(f"request/{name}")
    assert (gate.taken, gate.told) == ([], [])


def test_so_many_come_through_at_once_and_so_many_a_second(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    for _ in range(10_000):
        gate.take("listen/set", b"OFF")
    assert len(gate.taken) == BURST
    assert len(gate.told) == 1
    assert b"too many commands" in gate.told[0].payload
    for _ in range(100):
        gate.now_s += 1.0
        for _ in range(50):
            gate.take("listen/set", b"OFF")
    assert len(gate.taken) == BURST + 100 * PER_S
    assert len(gate.told) == 1
    assert caplog.text.count("commands come too fast") == 1


def test_after_a_flood_it_is_told_how_many_were_ignored(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    for _ in range(BURST + 5):
        gate.take("listen/set", b"OFF")
    gate.now_s += 60.0
    gate.take("listen/set", b"OFF")
    assert "5 commands were ignored" in caplog.text
    for _ in range(BURST):
        gate.take("listen/set", b"OFF")
    assert len(gate.told) == 2, "the next flood is told of anew"


@pytest.mark.parametrize("tail", ["listen/set", "threshold/set", "request/restart"])
def test_what_was_retained_goes_no_further_costs_nothing_and_is_told_once(
    caplog: pytest.LogCaptureFixture, tail: str
) -> None:
    gate = Gate()
    for _ in range(1000):
        gate.take(tail, b"", retained=True)
    assert (gate.taken, gate.told) == ([], [])
    assert caplog.text.count("a retained command on ") == 1
    gate.take("listen/set", b"ON")
    assert len(gate.taken) == 1


def test_an_error_of_the_agent_is_answered() -> None:
    answers: list[Callable[[Reply], None]] = []
    desk = CommandDesk(lambda request: answers.append(request.answer))
    told: list[Publication] = []
    gate = CommandGate(TOPICS, desk, told.append, lambda: 0.0)
    gate.take("listen/set", b"ON", retained=False)
    answers[0](Reply(error="hard mute"))
    assert told[0].topic == "ser-agent/attic/response/listen"
    assert b'"status":"error","error":"hard mute"' in told[0].payload
