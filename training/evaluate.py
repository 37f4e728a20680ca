"""The final figures, on the ``dev`` speakers: of a checkpoint as the agent uses it, or of any other system."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ser_agent.audio import float_from_pcm16
from training.cache import Cache
from training.conditions import CLIP_CONDITIONS, conditions, dev_clips
from training.corpora import CORPUS_LABELS
from training.figures import figures
from training.judgement import judge_checkpoint
from training.predictions import predict
from training.results import keep_result
from training.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from training.cache import Floats
    from training.corpora import Clip
    from training.figures import Figures
    from training.settings import Settings


def evaluate(
    settings: Settings, model: Path | None = None, name: str | None = None, limit: int | None = None
) -> None:
    """Classify everything that a checkpoint is judged on, where that is not done yet, and keep its figures.

    Args:
        settings: of the experiment that made it.
        model: the checkpoint's folder; the embedded one by default.
        name: of the results, instead of the experiment's.
        limit: recordings of each condition, for a trial; its results are kept under a name of their own.
    """
    torch.set_num_threads(settings.threads)
    settings = settings.model_copy(update={"name": name or settings.name})
    folder = (model or ROOT / "ser_agent" / "model").resolve()
    chosen = settings
    if limit is not None:
        chosen = settings.model_copy(update={"name": f"{settings.name}-limit{limit}"})
    predict(folder, conditions(settings, limit), chosen.predictions_folder, limit)
    keep_result(chosen, "settings", settings.model_dump(mode="json"))
    result = judge_checkpoint(chosen)
    keep_result(chosen, "model", result)
    for condition, by_corpus in result["figures"].items():
        _print(condition, by_corpus)
    print(f"kept in {chosen.results_file}")


def judge(
    settings: Settings, classify: Callable[[str, Sequence[Floats]], NDArray[np.float64]]
) -> dict[str, dict[str, Figures]]:
    """Let any system classify the ``dev`` speakers' clips.

    Args:
        settings: of the experiment.
        classify: gives logits, shape ``(clips, 7)``, for one of ``CLIP_CONDITIONS`` and its sounds.

    Returns:
        Figures by condition and corpus.
    """
    cache, dev = Cache(settings.cache_folder), dev_clips(settings)
    result: dict[str, dict[str, Figures]] = {}
    for condition in CLIP_CONDITIONS:
        logits = classify(condition, sounds_of(cache, dev, condition))
        result[condition] = {}
        for corpus in CORPUS_LABELS:
            rows = [row for row, clip in enumerate(dev) if clip.corpus == corpus]
            result[condition][corpus] = figures(logits[rows], [dev[row] for row in rows])
        _print(condition, result[condition])
    return result


def sounds_of(cache: Cache, clips: Sequence[Clip], condition: str) -> list[Floats]:
    """Give clips as one of ``CLIP_CONDITIONS`` has them: float32, shape ``(n,)`` each."""
    if condition == "whole":
        return [float_from_pcm16(cache.whole(clip)) for clip in clips]
    return [float_from_pcm16(cache.trimmed(clip)) for clip in clips]


def _print(condition: str, by_corpus: Mapping[str, Figures]) -> None:
    for corpus, found in by_corpus.items():
        low, high = found["intervals"]["uar"]["clips"]
        print(
            f"{condition} {corpus}: UAR {found['uar']:.3f} [{low:.3f}, {high:.3f}],"
            f" of all labels {found['uar_all_labels']:.3f}, top 3 {found['top3']:.3f},"
            f" ECE {found['ece_all_labels']:.3f}",
            flush=True,
        )
