"""Sounds for the detectors' tests: made ones, and the bundled clips of real speech."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE
from ser_agent.audio_files import stream_file
from ser_agent.plugins import available
from ser_agent.testing import context

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ser_agent.audio import Samples
    from ser_agent.ports import VoiceActivityDetector

NAMES = ("webrtc", "silero", "cascade", "energy")
DATA = Path(__file__).resolve().parents[1] / "data"
CLEAR_SPEECH = (
    "1011_ITH_HAP_XX.opus",
    "1031_IEO_SAD_LO.opus",
    "1051_IEO_FEA_LO.opus",
    "1066_IOM_NEU_XX.opus",
    "1076_ITH_DIS_XX.opus",
)


def detector(name: str, **keys: object) -> VoiceActivityDetector:
    """A built-in detector, made as the agent makes it: by entry point, from its options."""
    entry = available("vads")[name]
    options: Any = entry.options
    factory: Any = entry.factory
    made: VoiceActivityDetector = factory(options(type=name, **keys), context())
    return made


def hops_of(samples: Samples) -> Samples:
    """All whole hops: int16, shape ``(hops, HOP_SAMPLES)``."""
    return samples[: len(samples) // HOP_SAMPLES * HOP_SAMPLES].reshape(-1, HOP_SAMPLES)


def probabilities(judge: VoiceActivityDetector, samples: Samples) -> NDArray[np.float64]:
    """What a detector says of each whole hop; it is not reset first."""
    return np.array([judge.probability(hop) for hop in hops_of(samples)])


def silence(duration_s: float) -> Samples:
    """Digital silence."""
    return np.zeros(round(duration_s * SAMPLE_RATE), dtype=np.int16)


def hiss(duration_s: float, amplitude: float = 300.0) -> Samples:
    """White noise; ``amplitude`` is its standard deviation."""
    noise = np.random.default_rng(3).normal(0.0, amplitude, round(duration_s * SAMPLE_RATE))
    return np.clip(noise, -32768, 32767).astype(np.int16)


def clip(name: str) -> Samples:
    """A bundled clip of speech."""
    return np.concatenate(list(stream_file(DATA / name)))


def words(samples: Samples, below_loudest_db: float = 12.0) -> NDArray[np.bool_]:
    """Which whole hops are nearly as loud as the loudest: surely words, where the clip holds nothing else."""
    power = np.mean(np.square(hops_of(samples), dtype=np.float64), axis=1)
    return np.asarray(power >= power.max() * 10 ** (-below_loudest_db / 10))
