from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np

from ser_agent.audio import (
    FULL_SCALE,
    SILENCE_DBFS,
    AudioFrame,
    Samples,
    Utterance,
    float_from_pcm16,
    level_dbfs,
    pcm16_from_float,
    to_mono,
)
from ser_agent.testing import tone

SOUNDS = st_np.arrays(np.int16, st.integers(1, 300))


def full(value: float, length: int = 100) -> Samples:
    return np.full(length, value, dtype=np.int16)


@given(SOUNDS)
def test_int16_survives_the_way_to_float_and_back(samples: Samples) -> None:
    there = float_from_pcm16(samples)
    assert there.dtype == np.float32
    assert np.abs(there).max() <= 1.0
    assert np.array_equal(pcm16_from_float(there), samples)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, 0),
        (0.5, 16384),
        (-1.0, -32768),
        pytest.param(1.0, 32767, id="the highest sample is one less than full scale"),
        pytest.param(1.7, 32767, id="too loud"),
        pytest.param(-1e6, -32768, id="far too loud"),
        pytest.param(0.4 / FULL_SCALE, 0, id="rounded down"),
        pytest.param(-0.6 / FULL_SCALE, -1, id="rounded to the nearest"),
    ],
)
def test_float_samples_are_rounded_and_what_is_too_loud_is_clipped(value: float, expected: int) -> None:
    samples = pcm16_from_float(np.array([value], dtype=np.float32))
    assert samples.dtype == np.int16
    assert samples.tolist() == [expected]


@pytest.mark.parametrize(
    ("samples", "dbfs"),
    [
        pytest.param(full(-32768), 0.0, id="full scale"),
        pytest.param(full(16384), -6.02, id="half of full scale"),
        pytest.param(tone(1.0, amplitude=1.0), -3.01, id="a full sine"),
        pytest.param(full(1), -90.31, id="the softest sound"),
        pytest.param(full(0), SILENCE_DBFS, id="digital silence"),
        pytest.param(full(0, 0), SILENCE_DBFS, id="no samples"),
        pytest.param(np.array([1] + [0] * 9999, dtype=np.int16), SILENCE_DBFS, id="softer than 16 bits can tell"),
    ],
)
def test_the_level_is_that_of_the_mean_power(samples: Samples, dbfs: float) -> None:
    assert level_dbfs(samples) == pytest.approx(dbfs, abs=0.01)


@given(SOUNDS)
def test_the_level_lies_between_silence_and_full_scale(samples: Samples) -> None:
    assert SILENCE_DBFS <= level_dbfs(samples) <= 0.0


def test_channels_are_averaged() -> None:
    block = np.array([[0.5, -0.5], [1.0, 0.0], [0.25, 0.75]], dtype=np.float32)
    mono = to_mono(block)
    assert mono.dtype == np.float32
    assert mono.tolist() == [0.0, 0.5, 0.5]


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_one_channel_stays_as_it_is_with_or_without_an_axis_for_it(shape: tuple[int, ...]) -> None:
    sound = np.linspace(-1, 1, 5, dtype=np.float32)
    assert to_mono(sound.reshape(shape)).tolist() == sound.tolist()


def test_frames_and_utterances_know_their_length_and_place_in_seconds() -> None:
    frame = AudioFrame(full(0, 800), offset=1600, captured_at=5.0)
    assert frame.duration_s == 0.05
    utterance = Utterance(full(0, 24_000), 8000, "silence", captured_at=5.0, closed_at=7.0)
    assert (utterance.start_s, utterance.duration_s, utterance.end_s) == (0.5, 1.5, 2.0)
