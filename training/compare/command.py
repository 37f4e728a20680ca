"""The command: train what is not trained yet, judge what is not judged yet, and write the page."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from rich.console import Console

from ser_agent.audio import SAMPLE_RATE
from training.compare.checkpoints import Ours, Scratch
from training.compare.confusions import confusions
from training.compare.material import read_material
from training.compare.mel_systems import MelSystem
from training.compare.page import write_page
from training.compare.speed import CLIP_S, measure, wav2vec2_base
from training.compare.svm import Svm
from training.corpora import CORPUS_LABELS
from training.figures import figures
from training.results import keep_result, load_results

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from training.compare.material import Material
    from training.compare.settings import CompareSettings
    from training.compare.systems import System, Trained

SYSTEMS: Final[Mapping[str, Callable[[CompareSettings, Material], System]]] = {
    "svm": Svm,
    "cnn": partial(MelSystem, kind="cnn"),
    "lstm": partial(MelSystem, kind="lstm"),
    "wav2vec2": Scratch,
    "ours": Ours,
}
"""In the order of the table."""

_TRAINED = "trained.json"


def compare(settings: CompareSettings, only: Sequence[str] | None = None) -> None:
    """Compare the systems. One that is trained, or judged, is so only again when its settings or clips changed.

    Args:
        settings: of the comparison.
        only: the systems to judge, even where that is done already; the others' figures stay as they are.
    """
    compare_on(read_material(settings), settings, only)


def compare_on(material: Material, settings: CompareSettings, only: Sequence[str] | None = None) -> None:
    """Compare the systems on these clips, as ``compare`` does."""
    torch.set_num_threads(1)  # the budgets are processor time of one core, and so is an answer's
    experiment, console = settings.experiment, Console()
    keep_result(experiment, "settings", settings.model_dump(mode="json"))
    for name in only or SYSTEMS:
        system = SYSTEMS[name](settings, material)
        made_with = _digest([material.digest, settings.seed, settings.label_smoothing, system.made_with()])
        folder = experiment.run_folder / name
        folder.mkdir(parents=True, exist_ok=True)
        training = _kept_training(folder, made_with)
        known = load_results(experiment).get(name, {}).get("made_with") == made_with
        if training is not None and known and only is None:
            console.print(f"{name}: is finished")
            continue
        if training is None:
            training = dict(system.train(folder))
            about = json.dumps({"made_with": made_with, "training": training})
            (folder / _TRAINED).write_text(about + "\n", encoding="utf-8")
        record = {"made_with": made_with, "material": material.digest, "training": training}
        keep_result(experiment, name, record | judge(system.load(folder), material, settings))
        console.print(f"{name}: kept in {experiment.results_file}", soft_wrap=True)
    write_page(settings)
    console.print(f"written: {settings.page_file}", soft_wrap=True)


def judge(trained: Trained, material: Material, settings: CompareSettings) -> dict[str, Any]:
    """Judge a system on the ``dev`` speakers' clips.

    Returns:
        Plain data: ``parameters``, ``speed``, ``pooled`` (figures of all clips), ``corpora`` (likewise of each)
        and ``confusions``.
    """
    dev = material.part("dev")
    logits = trained.logits(dev)
    rows_of = {name: [row for row, clip in enumerate(dev) if clip.corpus == name] for name in CORPUS_LABELS}
    three_seconds = np.resize(material.samples(dev[0]), round(CLIP_S * SAMPLE_RATE))
    return {
        "parameters": trained.parameters,
        "speed": measure(trained.answer, wav2vec2_base(), three_seconds, settings.repeats),
        "pooled": figures(logits, dev, resamples=settings.resamples),
        "corpora": {
            name: figures(logits[rows], [dev[row] for row in rows], resamples=settings.resamples)
            for name, rows in rows_of.items()
            if rows
        },
        "confusions": confusions(logits, dev),
    }


def _kept_training(folder: Path, made_with: str) -> dict[str, Any] | None:
    """How the training went, where it is done, and with the same settings and clips."""
    path = folder / _TRAINED
    if not path.exists():
        return None
    about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return about["training"] if about["made_with"] == made_with else None


def _digest(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
