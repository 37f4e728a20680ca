"""The final figures, on the ``dev`` speakers: of the model, and of an SVM beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ser_agent.audio import float_from_pcm16
from training.cache import Cache
from training.calibrate import fit_temperature, fold_temperature
from training.corpora import CORPUS_LABELS, read_manifest, sampling_weights
from training.figures import figures
from training.network import load_model, predict_logits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from transformers import Wav2Vec2ForSequenceClassification

    from training.cache import Floats
    from training.corpora import Clip
    from training.figures import Figures
    from training.settings import Settings

CONDITIONS = ("whole", "trimmed")
"""Clips as the corpora have them, and cut to 0.3 s before and 0.2 s behind their speech, as the agent does."""


def evaluate(settings: Settings) -> None:
    """Judge the best model so far, calibrated, and keep its figures in the file of results."""
    torch.set_num_threads(settings.threads)
    model, temperature = calibrated_model(settings)
    result = {
        "parameters": sum(value.numel() for value in model.parameters()),
        "temperature": temperature,
        "figures": judge(settings, lambda _condition, sounds: predict_logits(model, sounds)),
    }
    keep_result(settings, "settings", settings.model_dump(mode="json"))
    keep_result(settings, "model", result)


def calibrated_model(settings: Settings) -> tuple[Wav2Vec2ForSequenceClassification, float]:
    """Load the best model so far and calibrate it on the held-out speakers.

    Returns:
        The model with its temperature folded in, and that temperature.
    """
    model = load_model(settings.run_folder / "best")
    cache = Cache(settings.cache_folder)
    held = [clip for clip in read_manifest(settings.corpora_folder, settings.held_out) if clip.part == "held"]
    logits = predict_logits(model, sounds_of(cache, held, "trimmed"))
    labels = np.array([clip.label for clip in held])
    temperature = fit_temperature(logits, labels, np.array(sampling_weights(held)))
    fold_temperature(model, temperature)
    return model, temperature


def sounds_of(cache: Cache, clips: Sequence[Clip], condition: str) -> list[Floats]:
    """Give clips as one of ``CONDITIONS`` has them: float32, shape ``(n,)`` each."""
    if condition == "whole":
        return [float_from_pcm16(cache.whole(clip)) for clip in clips]
    return [float_from_pcm16(cache.trimmed(clip)) for clip in clips]


def judge(
    settings: Settings, classify: Callable[[str, Sequence[Floats]], NDArray[np.float64]]
) -> dict[str, dict[str, Figures]]:
    """Let a system classify the ``dev`` speakers' clips.

    Args:
        settings: of the experiment.
        classify: gives logits, shape ``(clips, 7)``, for a condition and its sounds.

    Returns:
        Figures by condition and corpus.
    """
    cache = Cache(settings.cache_folder)
    dev = [clip for clip in read_manifest(settings.corpora_folder, settings.held_out) if clip.part == "dev"]
    result: dict[str, dict[str, Figures]] = {}
    for condition in CONDITIONS:
        logits = classify(condition, sounds_of(cache, dev, condition))
        result[condition] = {}
        for corpus in CORPUS_LABELS:
            rows = [row for row, clip in enumerate(dev) if clip.corpus == corpus]
            found = figures(logits[rows], [dev[row].label for row in rows], corpus)
            result[condition][corpus] = found
            print(
                f"{condition} {corpus}: UAR {found['uar']:.3f} [{found['uar_low']:.3f}, {found['uar_high']:.3f}],"
                f" of all labels {found['uar_all_labels']:.3f}, top 3 {found['top3']:.3f},"
                f" ECE {found['ece_all_labels']:.3f}",
                flush=True,
            )
    return result


def keep_result(settings: Settings, key: str, result: dict[str, Any]) -> None:
    """Put a result into the file of results, beside what is there."""
    path = settings.results_file
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(_rounded(kept | {key: result}), indent=1) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:  # noqa: ANN401
    match value:
        case float():
            return float(f"{value:.4g}")
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case [int(), *_]:
            return value
        case list():
            return [_rounded(item) for item in value]
        case _:
            return value
