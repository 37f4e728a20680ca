from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_agent.audio import SAMPLE_RATE, Samples, level_dbfs, pcm16_from_float
from ser_agent.resampling import MonoResampler

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

RATES = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000)
EVERY_RATE = pytest.mark.parametrize("rate", RATES)


def sine(rate: int, frequency_hz: float, duration_s: float = 1.0, amplitude: float = 0.5) -> NDArray[np.float32]:
    time_s = np.arange(round(rate * duration_s)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def resampled(sound: NDArray[np.float32], rate: int, sizes: Iterable[int]) -> Samples:
    """The sound after the resampler, given to it in blocks of these sizes, again and again."""
    resampler = MonoResampler(rate)
    parts = []
    start = 0
    for size in itertools.cycle(sizes):
        if start >= len(sound):
            break
        parts.append(resampler.convert(sound[start : start + size]))
        start += size
    parts.append(resampler.convert(sound[:0], last=True))
    return np.concatenate(parts)


def frequency_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * SAMPLE_RATE / len(samples)


@EVERY_RATE
@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=6), channels=st.sampled_from([1, 2, 5]))
def test_how_the_blocks_are_cut_makes_no_difference(rate: int, sizes: list[int], channels: int) -> None:
    sound = np.random.default_rng(5).uniform(-0.5, 0.5, (rate // 10, channels)).astype(np.float32)
    whole = MonoResampler(rate).convert(sound, last=True)
    assert np.array_equal(resampled(sound, rate, sizes), whole)


@EVERY_RATE
@pytest.mark.parametrize("tone_hz", [100.0, 440.0, 3000.0])
def test_a_tone_keeps_its_frequency_its_length_and_its_level(rate: int, tone_hz: float) -> None:
    sound = sine(rate, tone_hz)
    samples = resampled(sound, rate, [rate // 31])
    assert len(samples) == pytest.approx(SAMPLE_RATE, abs=1)
    assert frequency_hz(samples) == pytest.approx(tone_hz, abs=1.5)
    assert level_dbfs(samples) == pytest.approx(level_dbfs(pcm16_from_float(sound)), abs=0.2)


@EVERY_RATE
def test_sound_is_not_moved_in_time(rate: int) -> None:
    click = np.zeros(rate, dtype=np.float32)
    click[rate // 2] = 0.9
    samples = resampled(click, rate, [512])
    assert int(np.argmax(np.abs(samples))) == pytest.approx(SAMPLE_RATE // 2, abs=1)


@pytest.mark.parametrize("rate", [44_100, 48_000, 192_000])
def test_what_16_khz_cannot_hold_is_filtered_out_and_does_not_come_back_as_another_tone(rate: int) -> None:
    samples = resampled(sine(rate, 11_000), rate, [1024])
    assert level_dbfs(samples[1600:-1600]) < -80


def test_at_16_khz_nothing_is_held_back_and_nothing_changes() -> None:
    sound = sine(SAMPLE_RATE, 440)
    resampler = MonoResampler(SAMPLE_RATE)
    for start in range(0, len(sound), 512):
        block = sound[start : start + 512]
        assert np.array_equal(resampler.convert(block), pcm16_from_float(block))


def test_channels_in_opposite_phase_cancel_each_other() -> None:
    sound = sine(48_000, 440)
    assert not resampled(np.stack([sound, -sound], axis=1), 48_000, [1000]).any()


def test_what_overshoots_in_the_filter_is_clipped_and_does_not_wrap_around() -> None:
    square = np.sign(sine(48_000, 300, amplitude=1.0)).astype(np.float32)
    samples = resampled(square, 48_000, [1000])
    assert samples.max() == 32767
    assert samples.min() == -32768
    plain = MonoResampler(SAMPLE_RATE).convert(np.sign(sine(SAMPLE_RATE, 300)).astype(np.float32), last=True)
    assert np.mean(np.sign(samples) == np.sign(plain)) > 0.95


@EVERY_RATE
def test_a_stream_without_sound_gives_none(rate: int) -> None:
    assert len(MonoResampler(rate).convert(np.empty((0, 2), dtype=np.float32), last=True)) == 0
