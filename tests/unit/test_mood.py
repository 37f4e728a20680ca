"""The mood: what prevails, how it fades, and what it does to a conversation."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_agent.messages import EmotionScore
from ser_agent.mood import LEAST_SPEECH, Mood, MoodTracker

TAU_S = 100.0


def heard(**scores: float) -> list[EmotionScore]:
    return [EmotionScore(label=label, score=score) for label, score in scores.items()]


def test_without_speech_there_is_no_mood() -> None:
    assert MoodTracker(TAU_S).mood(0.0) is None
    assert MoodTracker(TAU_S).remaining_s(0.0) is None


def test_long_and_confident_speech_counts_more() -> None:
    tracker = MoodTracker(TAU_S)
    tracker.hear(heard(angry=0.9, sad=0.1), 1.0, 0.0)
    tracker.hear(heard(sad=0.7, angry=0.3), 3.0, 0.0)
    mood = tracker.mood(0.0)
    assert mood is not None
    assert mood.label == "sad"
    assert mood.share == pytest.approx((0.1 + 2.1) / 4.0)


def test_a_single_shout_turns_no_mood() -> None:
    tracker = MoodTracker(TAU_S)
    for second in range(0, 60, 5):
        tracker.hear(heard(calm=0.8, angry=0.2), 3.0, float(second))
    tracker.hear(heard(angry=1.0), 1.0, 60.0)
    mood = tracker.mood(60.0)
    assert mood is not None
    assert mood.label == "calm"


def test_what_was_heard_long_ago_gives_way() -> None:
    tracker = MoodTracker(TAU_S)
    tracker.hear(heard(sad=1.0), 10.0, 0.0)
    tracker.hear(heard(happy=1.0), 4.0, TAU_S)
    mood = tracker.mood(TAU_S)
    assert mood is not None
    assert mood.label == "happy"
    assert mood.share == pytest.approx(4.0 / (4.0 + 10.0 / math.e))


def test_speech_that_goes_on_and_on_makes_a_mood_from_a_second_a_minute_on() -> None:
    for share, expected in ((0.9, None), (1.1, Mood("sad", 1.0))):
        tracker = MoodTracker(TAU_S)
        for minute in range(60):
            tracker.hear(heard(sad=1.0), share, 60.0 * minute)
        assert tracker.mood(60.0 * 60 - 35.0) == expected


def test_the_mood_ends_when_too_little_is_left() -> None:
    tracker = MoodTracker(TAU_S)
    tracker.hear(heard(sad=1.0), math.e * LEAST_SPEECH * TAU_S, 7.0)
    assert tracker.remaining_s(7.0) == pytest.approx(TAU_S)
    assert tracker.mood(7.0 + TAU_S - 0.01) == Mood("sad", 1.0)
    assert tracker.mood(7.0 + TAU_S + 0.01) is None
    assert tracker.remaining_s(7.0 + TAU_S + 0.01) is None


def test_of_equals_the_alphabet_s_first_prevails() -> None:
    tracker = MoodTracker(TAU_S)
    tracker.hear(heard(sad=0.5, happy=0.5), 4.0, 0.0)
    assert tracker.mood(0.0) == Mood("happy", 0.5)


UTTERANCES = st.lists(
    st.tuples(
        st.sampled_from(["angry", "calm", "sad"]), st.floats(0.0, 1.0), st.floats(0.1, 15.0), st.floats(0.0, 1e6)
    ),
    max_size=20,
)


@given(UTTERANCES, st.floats(0.0, 1e7))
def test_between_two_utterances_the_mood_stays_or_ends(
    utterances: list[tuple[str, float, float, float]], later_s: float
) -> None:
    tracker = MoodTracker(TAU_S)
    now_s = 0.0
    for label, score, duration_s, pause_s in utterances:
        now_s += pause_s
        tracker.hear(heard(**{label: score}), duration_s, now_s)
    mood = tracker.mood(now_s)
    if mood is not None:
        assert 0.0 < mood.share <= 1.0 + 1e-9
    assert tracker.mood(now_s + later_s) in {mood, None}
    remaining_s = tracker.remaining_s(now_s)
    assert (remaining_s is None) == (mood is None)
