"""The final figures, on the ``dev`` speakers, of a checkpoint as the agent uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from training.conditions import conditions
from training.judgement import judge_checkpoint
from training.predictions import predict
from training.results import keep_result
from training.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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


def _print(condition: str, by_corpus: Mapping[str, Figures]) -> None:
    for corpus, found in by_corpus.items():
        low, high = found["intervals"]["uar"]["clips"]
        print(
            f"{condition} {corpus}: UAR {found['uar']:.3f} [{low:.3f}, {high:.3f}],"
            f" of all labels {found['uar_all_labels']:.3f}, top 3 {found['top3']:.3f},"
            f" ECE {found['ece_all_labels']:.3f}",
            flush=True,
        )
