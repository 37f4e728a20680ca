from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_agent.assistant_voice import AssistantVoice, Speaking
from ser_agent.audio import SAMPLE_RATE, Utterance


def said(began_s: float, ended_s: float, site: str | None = None) -> Utterance:
    samples = np.zeros(round((ended_s - began_s) * SAMPLE_RATE), dtype=np.int16)
    return Utterance(samples, 0, "silence", captured_at=began_s, closed_at=ended_s, site=site)


def spoken(*changes: tuple[bool, float], timeout_s: float = 60.0) -> AssistantVoice:
    voice = AssistantVoice(timeout_s=timeout_s, tail_s=0.2)
    for on, at_s in changes:
        voice.heed(Speaking(on=on, at_s=at_s))
    return voice


@pytest.mark.parametrize(
    ("began_s", "ended_s", "left_out"),
    [
        (5.0, 9.0, False),
        (5.0, 11.0, True),
        (11.0, 12.0, True),
        (14.0, 22.0, True),
        (8.0, 25.0, True),
        (20.1, 22.0, True),
        (20.3, 22.0, False),
    ],
)
def test_what_overlaps_with_its_speech_is_left_out(began_s: float, ended_s: float, *, left_out: bool) -> None:
    assert spoken((True, 10.0), (False, 20.0)).heard_in(said(began_s, ended_s)) is left_out


def test_while_it_speaks_everything_is_left_out() -> None:
    assert spoken((True, 10.0)).heard_in(said(30.0, 31.0))


def test_an_end_that_was_lost_does_not_deafen_for_ever() -> None:
    voice = spoken((True, 10.0), timeout_s=30.0)
    assert voice.heard_in(said(39.0, 41.0))
    assert not voice.heard_in(said(41.0, 42.0))
    voice.heed(Speaking(on=True, at_s=100.0))
    assert voice.heard_in(said(101.0, 102.0))
    assert not voice.heard_in(said(60.0, 61.0))


def test_a_beginning_told_twice_is_one() -> None:
    assert not spoken((True, 10.0), (True, 12.0), (False, 20.0)).heard_in(said(21.0, 22.0))


def test_speech_at_one_site_is_not_heard_at_another() -> None:
    voice = AssistantVoice()
    voice.heed(Speaking(on=True, at_s=10.0, sites=frozenset({"kitchen"})))
    assert voice.heard_in(said(11.0, 12.0, "kitchen"))
    assert not voice.heard_in(said(11.0, 12.0, "attic"))
    assert voice.heard_in(said(11.0, 12.0))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5)), max_size=40), st.floats(0, 200), st.floats(0.1, 5))
def test_what_is_heard_an_hour_after_all_that_is_never_left_out(
    changes: list[tuple[bool, float]], timeout_s: float, length_s: float
) -> None:
    voice = AssistantVoice(timeout_s=1.0 + timeout_s)
    now_s = 0.0
    for on, later_s in changes:
        now_s += later_s
        voice.heed(Speaking(on=on, at_s=now_s))
    assert not voice.heard_in(said(now_s + 3600.0, now_s + 3600.0 + length_s))
