"""How long a training clip takes to be augmented, on one core, with an experiment's settings.

    python -m benchmarks.augmentation [--config training/second.yaml] [--clips 500]

The mean over clips as training draws them, then what each effect would cost a clip if it always happened.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.cache import Cache
from training.corpora import read_clips, sampling_weights
from training.settings import AugmentSettings, load_settings
from training.sound import Augmenter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.corpora import Clip


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("training/second.yaml"), help="the experiment")
    parser.add_argument("--clips", type=int, default=500, help="how many are augmented for each figure")
    args = parser.parse_args()
    settings = load_settings(args.config)
    cache = Cache(settings.cache_folder)
    train = [clip for clip in cache.usable(read_clips(settings)) if clip.part == "train"]
    rng = np.random.default_rng(settings.seed)
    weights = sampling_weights(train, settings.shares)
    clips = [train[index] for index in rng.choice(len(train), size=args.clips, p=weights)]
    print(f"{args.config}: {milliseconds(cache, settings.augment, clips):.2f} ms of one core a clip")
    chances = [name for name in AugmentSettings.model_fields if name.startswith("p_")]
    off = settings.augment.model_copy(update=dict.fromkeys(chances, 0.0) | {"speed": 0.0})
    base = milliseconds(cache, off, clips)
    for name in chances:
        cost = milliseconds(cache, off.model_copy(update={name: 1.0}), clips) - base
        share = getattr(settings.augment, name)
        print(f"  {name.removeprefix('p_'):10} {cost:6.2f} ms, {share:5.0%} of the clips")


def milliseconds(cache: Cache, settings: AugmentSettings, clips: Sequence[Clip]) -> float:
    """Processor time for a clip, on average; what is done once only is not counted."""
    augment = Augmenter(cache, settings, np.random.default_rng(1))
    augment(clips[0])
    started_s = time.process_time()
    for clip in clips:
        augment(clip)
    return (time.process_time() - started_s) / len(clips) * 1000


if __name__ == "__main__":
    main()
