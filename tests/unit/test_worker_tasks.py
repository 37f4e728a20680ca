"""What a worker takes for a question, and what it remembers."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_agent.fleet.reading import is_sound, read_ask
from ser_agent.fleet.tasks import Memory, Task
from ser_agent.fleet_wire import Ask, FleetTopics, Reply
from ser_agent.sinks.mqtt_work import Delivery, Headers

ID = "0123456789ABCDEFGHJKMNPQRS"
TOPICS = FleetTopics("home/agents")
HEADERS = Headers("audio/flac", "home/agents/answers/den", ID.encode(), 7, {"try": "2", "schema": "1"})
ASK = Ask(ID, "den", 1, "home/agents/answers/den", 7, b"")


def delivery(topic: str = "home/agents/utterances/den", *, retained: bool = False, **headers: Any) -> Delivery:  # noqa: ANN401
    return Delivery(topic, b"sound", retained, replace(HEADERS, **headers), lambda: None)


def test_a_question_is_read() -> None:
    assert read_ask(delivery(), TOPICS) == Ask(ID, "den", 2, "home/agents/answers/den", 7, b"sound")


def test_what_comes_without_an_expiry_has_a_second_left() -> None:
    ask = read_ask(delivery(expires_s=None), TOPICS)
    assert ask is not None
    assert ask.expires_in_s == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"response_topic": "home/agents/answers/attic"},
        {"response_topic": "home/agents/answers/den/x"},
        {"response_topic": None},
        {"correlation": b""},
        {"correlation": ID.encode() + b"0"},
        {"correlation": "ä".encode() * 13},
        {"topic": "home/agents/utterances/den/attic"},
        {"topic": "home/agents/utterances/"},
        {"topic": "home/agents/den/event"},
        {"retained": True},
    ],
    ids=str,
)
def test_what_is_odd_is_no_question(odd: dict[str, Any]) -> None:
    assert read_ask(delivery(**odd), TOPICS) is None


@pytest.mark.parametrize(
    ("word", "attempt"), [("1", 1), ("3", 3), ("0", 1), ("", 1), ("-1", 1), ("two", 1), ("²", 1), ("99999", 1)]
)
def test_a_try_that_makes_no_sense_is_the_first(word: str, attempt: int) -> None:
    ask = read_ask(delivery(user={"try": word}), TOPICS)
    assert ask is not None
    assert ask.attempt == attempt


@given(st.text(), st.text(), st.binary(max_size=40), st.dictionaries(st.text(), st.text()))
def test_whatever_comes_is_read_or_refused(
    topic: str, response: str, correlation: bytes, user: dict[str, str]
) -> None:
    odd = delivery("home/agents/utterances/" + topic, response_topic=response, correlation=correlation, user=user)
    ask = read_ask(odd, TOPICS)
    assert ask is None or ask.response_topic == TOPICS.answers(ask.site)


def test_only_this_contracts_flac_is_sound() -> None:
    assert is_sound(HEADERS)
    assert is_sound(replace(HEADERS, user={}))
    assert not is_sound(replace(HEADERS, content_type="audio/wav"))
    assert not is_sound(replace(HEADERS, content_type=None))
    assert not is_sound(replace(HEADERS, user={"schema": "2"}))


def test_an_answer_is_remembered_by_site_and_id_until_too_many_came_after() -> None:
    memory = Memory(remembered=2)
    reply = Reply(ID, "answered", "w", model="m", scores={"happy": 1.0})
    memory.remember(ASK, reply)
    assert memory.answer_to(replace(ASK, attempt=2)) is reply
    assert memory.answer_to(replace(ASK, site="attic")) is None
    for number in range(2):
        memory.remember(replace(ASK, id=f"{number:026d}"), reply)
    assert memory.answer_to(ASK) is None


def test_what_failed_is_to_be_tried_again_at_a_later_try_only() -> None:
    memory = Memory()
    failed = Reply(ID, "failed", "w", reason="classifier")
    memory.remember(ASK, failed)
    assert memory.answer_to(ASK) is failed
    assert memory.answer_to(replace(ASK, attempt=2)) is None


def test_deliveries_of_the_same_question_are_acknowledged_together_once() -> None:
    acknowledged: list[int] = []
    now_s = time.monotonic()
    task = Task(ASK, now_s + 1.0, [lambda: acknowledged.append(1)])
    task.join(Task(replace(ASK, attempt=2), now_s + 9.0, [lambda: acknowledged.append(2)]))
    assert (task.ask.attempt, task.expires_at_s) == (2, now_s + 9.0)
    task.done()
    task.done()
    assert acknowledged == [1, 2]
    assert not Task(ASK, now_s + 60.0).expired
    assert Task(ASK, now_s - 1.0).expired
