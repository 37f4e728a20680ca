"""From clips to batches: what training does to a clip, and how sounds become a model's input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ser_agent.audio import SAMPLE_RATE, float_from_pcm16
from training.effects import (
    as_mp3,
    as_mulaw,
    as_opus,
    at_level,
    changed_pitch,
    changed_speed,
    clipped,
    in_room,
    on_telephone,
    with_noise,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.cache import Cache, Floats
    from training.corpora import Clip
    from training.settings import AugmentSettings

_MARGINS_S = (0.05, 0.6)
_SPEEDS = 9


class Augmenter:
    """Gives a training clip another look each time; the same ones again where chance is seeded alike.

    Noise and rooms are those for training alone.

    Args:
        cache: of decoded sound.
        settings: how much of everything.
        rng: where chance comes from.
    """

    def __init__(self, cache: Cache, settings: AugmentSettings, rng: np.random.Generator) -> None:
        self._cache = cache
        self._settings = settings
        self._rng = rng
        self._noises = cache.noises("train", non_commercial=settings.non_commercial_noise)
        self._rooms = cache.rooms("train")

    def __call__(self, clip: Clip) -> Floats:
        """Augment one clip.

        Returns:
            float32, shape ``(n,)``, at most ``max_s`` long (before its speed is changed).
        """
        return self.pair(clip)[1]

    def pair(self, clip: Clip) -> tuple[Floats, Floats]:
        """Augment one clip, and tell what it was before the room, the noise, the microphone and the line.

        Returns:
            What was said, and how it is heard: sample by sample at the same time, shaped as by a plain call.
        """
        settings, rng = self._settings, self._rng
        sound = self._cropped(self._edged(clip))
        # A few fixed ratios only, because soxr designs a filter for each.
        sound = changed_speed(sound, 1.0 + settings.speed * rng.integers(-_SPEEDS, _SPEEDS + 1) / _SPEEDS)
        if self._happens(settings.p_pitch):
            sound = changed_pitch(sound, rng.uniform(-settings.semitones, settings.semitones))
        said = sound
        if self._happens(settings.p_room) and self._rooms:
            sound = in_room(sound, self._rooms[rng.integers(len(self._rooms))])
        if self._happens(settings.p_noise):
            sound = with_noise(sound, self._noise(len(sound)), rng.uniform(*settings.snr_db))
        return said, self._sent(self._recorded(sound))

    def _happens(self, probability: float) -> bool:
        return self._rng.random() < probability

    def _edged(self, clip: Clip) -> Floats:
        """Cut silence at the edges to random margins, as a segmenter would, or leave the clip whole."""
        if not self._happens(self._settings.p_trim):
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
        """Draw household noise, over again where it is too short, or white noise a third of the time."""
        if not self._noises or self._happens(1 / 3):
            return self._rng.standard_normal(length, dtype=np.float32)
        recording = self._noises[self._rng.integers(len(self._noises))]
        if len(recording) < length:
            turned = np.roll(recording, int(self._rng.integers(len(recording))))
            return float_from_pcm16(np.resize(turned, length))
        start = int(self._rng.integers(len(recording) - length + 1))
        return float_from_pcm16(recording[start : start + length])

    def _recorded(self, sound: Floats) -> Floats:
        """What the microphone does."""
        settings, rng = self._settings, self._rng
        if self._happens(settings.p_level):
            sound = at_level(sound, rng.uniform(*settings.level_dbfs))
        if self._happens(settings.p_clip):
            sound = clipped(sound, rng.uniform(*settings.clip_percent))
        return sound

    def _sent(self, sound: Floats) -> Floats:
        """What the line does."""
        settings, rng = self._settings, self._rng
        if self._happens(settings.p_telephone):
            sound = on_telephone(sound)
        if self._happens(settings.p_mulaw):
            sound = as_mulaw(sound)
        if self._happens(settings.p_mp3):
            sound = as_mp3(sound, int(rng.choice(settings.mp3_kbit)))
        if self._happens(settings.p_opus):
            sound = as_opus(sound, rng.uniform(*settings.opus_kbit))
        return sound


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
