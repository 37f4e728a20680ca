"""How a model that hears the waveform wants its sound. Pure: needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ser_agent.audio import SAMPLE_RATE, Samples, float_from_pcm16

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHORTEST_SAMPLES = SAMPLE_RATE // 10
"""Shorter sounds are filled up with silence; the usual front ends need 25 ms, some models a few frames of it."""
WARM_UP_S = 1.0
_NORM_EPSILON = 1e-7
"""That of transformers' ``Wav2Vec2FeatureExtractor``."""


def shortest_samples(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Samples that a sound is filled up to: at least what the convolutions need for one frame."""
    samples = 1
    for kernel, stride in reversed(list(zip(kernels, strides, strict=True))):
        samples = (samples - 1) * stride + kernel
    return max(SHORTEST_SAMPLES, samples)


def filled(samples: Samples, shortest: int) -> NDArray[np.float32]:
    """Samples as float32 of -1 to 1, with silence behind what is too short."""
    return np.pad(float_from_pcm16(samples), (0, max(0, shortest - len(samples))))


def normalised(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """A sound with the mean 0 and the variance 1, as transformers' extractor for waveforms makes it."""
    deviation = np.sqrt(sound.var() + _NORM_EPSILON)
    return np.asarray((sound - sound.mean()) / deviation, dtype=np.float32)


def warm_up_noise() -> Samples:
    """A second of noise, always the same, to do once what the first call is slow at."""
    return np.random.default_rng(0).normal(0.0, 300.0, round(WARM_UP_S * SAMPLE_RATE)).astype(np.int16)
