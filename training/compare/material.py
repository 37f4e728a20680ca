"""The clips that all systems learn from and are judged by, as the agent would cut them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ser_agent.audio import float_from_pcm16
from training.cache import Cache
from training.corpora import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ser_agent.audio import Samples
    from training.cache import Floats
    from training.compare.settings import CompareSettings
    from training.corpora import Clip, Part


@dataclass(frozen=True)
class Material:
    """Clips, and how to hear them.

    Attributes:
        clips: of all parts.
        samples: a clip's sound: int16, shape ``(n,)``, at 16 kHz.
    """

    clips: Sequence[Clip]
    samples: Callable[[Clip], Samples]

    def part(self, name: Part) -> list[Clip]:
        """List the clips of ``train``, ``held`` or ``dev``."""
        return [clip for clip in self.clips if clip.part == name]

    def sound(self, clip: Clip) -> Floats:
        """Give a clip's sound: float32, shape ``(n,)``."""
        return float_from_pcm16(self.samples(clip))

    @cached_property
    def digest(self) -> str:
        """Tells these clips, labelled, divided and cut as they are, apart from others."""
        lines = (f"{clip.path} {clip.emotion} {clip.part} {len(self.samples(clip))}\n" for clip in self.clips)
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def read_material(settings: CompareSettings) -> Material:
    """Find the corpora's clips, cut to 0.3 s before and 0.2 s behind their speech.

    Raises:
        CorpusError: the corpora are not decoded yet, or a speaker to hold out is not in the train split.
    """
    experiment = settings.experiment
    cache = Cache(experiment.cache_folder)
    clips = cache.usable(read_manifest(experiment.corpora_folder, experiment.held_out))
    return Material(clips, cache.trimmed)
