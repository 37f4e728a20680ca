"""From clips to batches: what training does to a clip, and how sounds become a model's input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soxr
import torch
from scipy.signal import fftconvolve  # type: ignore[import-untyped]

from ser_agent.audio import SAMPLE_RATE, float_from_pcm16

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.cache import Cache, Floats
    from training.corpora import Clip
    from training.settings import AugmentSettings

_MARGINS_S = (0.05, 0.6)
_SPEEDS = 9


class Augmenter:
    """Gives a training clip another look each time: edges, length, speed, room and noise.

    Level is not varied, since the model's input is normalised anyway.

    Args:
        cache: of decoded sound.
        settings: how much of everything.
        rng: where chance comes from.
    """

    def __init__(self, cache: Cache, settings: AugmentSettings, rng: np.random.Generator) -> None:
        self._cache = cache
        self._settings = settings
        self._rng = rng

    def __call__(self, clip: Clip) -> Floats:
        """Augment one clip.

        Returns:
            float32, shape ``(n,)``, at most ``max_s`` long (before its speed is changed).
        """
        settings, rng = self._settings, self._rng
        sound = self._cropped(self._edged(clip))
        # A few fixed ratios only, because soxr designs a filter for each.
        sound = changed_speed(sound, 1.0 + settings.speed * rng.integers(-_SPEEDS, _SPEEDS + 1) / _SPEEDS)
        if rng.random() < settings.p_room:
            sound = in_room(sound, self._cache.rooms[rng.integers(len(self._cache.rooms))])
        if rng.random() < settings.p_noise:
            sound = with_noise(sound, self._noise(len(sound)), rng.uniform(*settings.snr_db))
        return sound

    def _edged(self, clip: Clip) -> Floats:
        """Cut silence at the edges to random margins, as a segmenter would, or leave the clip whole."""
        if self._rng.random() >= self._settings.p_trim:
            return float_from_pcm16(self._cache.whole(clip))
        preroll_s, postroll_s = self._rng.uniform(*_MARGINS_S, size=2)
        return float_from_pcm16(self._cache.trimmed(clip, preroll_s, postroll_s))

    def _cropped(self, sound: Floats) -> Floats:
        spare = len(sound) - round(self._settings.max_s * SAMPLE_RATE)
        if spare <= 0:
            return sound
        start = int(self._rng.integers(spare + 1))
        return sound[start : len(sound) - spare + start]

    def _noise(self, length: int) -> Floats:
        """Draw household noise, or white noise a third of the time."""
        if self._rng.random() < 1 / 3:
            return self._rng.standard_normal(length, dtype=np.float32)
        start = int(self._rng.integers(len(self._cache.noise) - length))
        return float_from_pcm16(self._cache.noise[start : start + length])


def changed_speed(sound: Floats, ratio: float) -> Floats:
    """Play faster (above 1) or slower, pitch included: float32, shape ``(round(n / ratio),)`` or so."""
    if ratio == 1.0:
        return sound
    return np.asarray(soxr.resample(sound, ratio, 1.0, quality="LQ"), dtype=np.float32)


def in_room(sound: Floats, response: Floats) -> Floats:
    """Convolve with a room's impulse response that begins with the direct sound; the length stays."""
    return np.asarray(fftconvolve(sound, response)[: len(sound)], dtype=np.float32)


def with_noise(sound: Floats, noise: Floats, snr_db: float) -> Floats:
    """Add noise at a signal-to-noise ratio in dB; silent noise changes nothing.

    Args:
        sound: float32, shape ``(n,)``.
        noise: likewise.
        snr_db: of the powers, each over the whole length.
    """
    noise_power = float(np.mean(np.square(noise)))
    if noise_power < 1e-12:
        return sound
    gain = np.sqrt(float(np.mean(np.square(sound))) / noise_power) * 10 ** (-snr_db / 20)
    return np.asarray(sound + np.float32(gain) * noise, dtype=np.float32)


def collate(sounds: Sequence[Floats]) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalise and pad, exactly as the checkpoint's ``Wav2Vec2FeatureExtractor`` does.

    Args:
        sounds: float32, shape ``(n_i,)`` each.

    Returns:
        Input values, float32, shape ``(batch, max n_i)``, and the attention mask, int64, of the same shape.
    """
    length = max(len(sound) for sound in sounds)
    values = np.zeros((len(sounds), length), dtype=np.float32)
    mask = np.zeros((len(sounds), length), dtype=np.int64)
    for row, sound in enumerate(sounds):
        values[row, : len(sound)] = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
        mask[row, : len(sound)] = 1
    return torch.from_numpy(values), torch.from_numpy(mask)
