from __future__ import annotations

import json

import pytest

from ser_agent.sinks.mqtt_rivals import MOST_TOLD, Rivals, Verdict


def info(instance: object) -> bytes:
    return json.dumps({"instance": instance}).encode()


def known() -> Rivals:
    """One that has told in this session that it is number 5."""
    rivals = Rivals("attic")
    rivals.begin_session()
    rivals.introduce(info("5"))
    return rivals


@pytest.mark.parametrize("retained", [False, True])
def test_before_it_has_told_who_it_is_nobody_is_a_rival(*, retained: bool) -> None:
    rivals = Rivals("attic")
    rivals.begin_session()
    assert rivals.judge(info("4"), retained=retained) is Verdict.NOTHING


def test_what_the_broker_kept_from_before_its_first_word_proves_nothing() -> None:
    assert known().judge(info("4"), retained=True) is Verdict.NOTHING


def test_what_is_said_now_or_was_said_since_its_first_word_proves_that_somebody_lives() -> None:
    rivals = known()
    assert rivals.judge(info("4"), retained=False) is Verdict.STAND_BACK
    assert rivals.judge(info("6"), retained=False) is Verdict.INSIST
    rivals.begin_session()
    assert rivals.judge(info("4"), retained=True) is Verdict.STAND_BACK
    assert rivals.judge(info("6"), retained=True) is Verdict.INSIST


def test_what_is_kept_of_an_elder_that_did_not_answer_means_nothing_until_it_speaks() -> None:
    rivals = known()
    rivals.begin_session()
    assert rivals.judge(info("4"), retained=True) is Verdict.STAND_BACK
    rivals.dismiss()
    rivals.begin_session()
    assert rivals.judge(info("4"), retained=True) is Verdict.NOTHING
    assert rivals.judge(info("3"), retained=True) is Verdict.STAND_BACK
    assert rivals.judge(info("4"), retained=False) is Verdict.STAND_BACK


@pytest.mark.parametrize(
    "payload", [info("5"), info(None), info(5), info(""), info("x" * 65), b"", b"{", b"[]", b"\xff"]
)
def test_its_own_word_and_rubbish_are_passed_over(payload: bytes) -> None:
    assert known().judge(payload, retained=False) is Verdict.NOTHING


def test_each_rival_is_told_of_once_and_not_more_than_a_few(caplog: pytest.LogCaptureFixture) -> None:
    rivals = known()
    for number in range(6, 1000):
        for _ in range(2):
            rivals.judge(info(str(number)), retained=False)
    assert len(caplog.records) == MOST_TOLD
