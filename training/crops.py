"""Crops of a fixed length from the training clips, as they were and as they are heard: without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ser_agent.audio import SAMPLE_RATE
from training.cache import Cache
from training.corpora import read_clips
from training.sound import Augmenter, collate

if TYPE_CHECKING:
    import torch

    from training.cache import Floats
    from training.settings import Settings


class Crops(NamedTuple):
    """Some crops: float32, shape ``(samples,)`` each, those with one index being of the same moment.

    ``said`` is before room, noise, microphone and line; ``heard`` behind them.
    """

    said: list[Floats]
    heard: list[Floats]


class CropDrawer:
    """Draws crops of all that is trained on: acted and plain speech, and noise alone.

    Args:
        settings: of the experiment.
        crop_s: their length in seconds; shorter clips are followed by silence.
        rng: where chance comes from.
    """

    def __init__(self, settings: Settings, crop_s: float, rng: np.random.Generator) -> None:
        cache = Cache(settings.cache_folder)
        self._clips = cache.usable([clip for clip in read_clips(settings) if clip.part == "train"])
        self._augment = Augmenter(cache, settings.augment, rng)
        self._length = round(crop_s * SAMPLE_RATE)
        self._rng = rng

    def draw(self, count: int) -> Crops:
        """Draw so many."""
        pairs = [self._one() for _ in range(count)]
        return Crops([said for said, _ in pairs], [heard for _, heard in pairs])

    def _one(self) -> tuple[Floats, Floats]:
        said, heard = self._augment.pair(self._clips[self._rng.integers(len(self._clips))])
        if len(said) < self._length:
            silence = (0, self._length - len(said))
            return np.pad(said, silence), np.pad(heard, silence)
        start = int(self._rng.integers(len(said) - self._length + 1))
        return said[start : start + self._length], heard[start : start + self._length]


def normalised(crops: list[Floats]) -> torch.Tensor:
    """Make crops a model's input: float32, shape ``(crops, samples)``, each of mean 0 and deviation 1."""
    return collate(crops)[0]
