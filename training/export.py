"""The embedded model's folder: the calibrated checkpoint in half precision, its card and its notice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from transformers import Wav2Vec2FeatureExtractor

from ser_agent.audio import float_from_pcm16
from training.cache import Cache
from training.calibrate import choose_curve, fit_threshold
from training.card import model_card
from training.corpora import LABELS, NON_SPEECH, read_clips, sampling_weights
from training.figures import speakers_of
from training.network import load_model, predict_logits
from training.settings import ROOT, load_settings

if TYPE_CHECKING:
    from transformers import Wav2Vec2ForSequenceClassification

    from training.settings import Settings

MODEL_FOLDER = ROOT / "ser_agent" / "model"
MAX_BYTES = 20_000_000
IDENTITY: Final = {"name": "embedded", "revision": 5, "licence": "CC-BY-NC-SA-4.0", "languages": ["en", "pl"]}

_COVERAGE = 0.85
"""Share of the held-out speakers' acted utterances that are not called uncertain."""


def export(settings: Settings, folder: Path | None = None) -> None:
    """Write the model that ``finetune`` has made, calibrated. Its card follows by ``card``, after ``evaluate``.

    Args:
        settings: of the experiment.
        folder: for a model of one's own; by default it becomes the embedded one.
    """
    torch.set_num_threads(settings.threads)
    model = load_model(settings.run_folder / "last")
    if folder is not None:
        write_checkpoint(model, {"name": settings.name} | _own_calibration(settings, model), folder)
        return
    write_checkpoint(model, IDENTITY | _own_calibration(settings, model), MODEL_FOLDER)
    shutil.copyfile(Path(__file__).parent / "NOTICE-model", MODEL_FOLDER / "NOTICE")
    sizes = {path.name: path.stat().st_size for path in sorted(MODEL_FOLDER.iterdir()) if path.is_file()}
    print(*(f"{size:>10,} {name}" for name, size in sizes.items()), sep="\n")
    if sum(sizes.values()) > MAX_BYTES:
        raise ValueError(f"{MODEL_FOLDER}: larger than {MAX_BYTES:,} bytes")


def write_card(settings: Settings) -> None:
    """Write the model card, with the figures that were kept."""
    results = json.loads(settings.results_file.read_text(encoding="utf-8"))
    (MODEL_FOLDER / "README.md").write_text(model_card(results), encoding="utf-8")


def _own_calibration(settings: Settings, model: Wav2Vec2ForSequenceClassification) -> dict[str, Any]:
    """Calibrate on people never heard; where all were, take what was fitted to a model trained alike."""
    if settings.calibrate_as is None:
        return calibration(settings, model)
    other = load_settings(ROOT / settings.calibrate_as)
    return calibration(other, load_model(other.run_folder / "last"))


def calibration(settings: Settings, model: Wav2Vec2ForSequenceClassification) -> dict[str, Any]:
    """Say how to read the model's logits, from what it makes of the held-out speakers.

    Returns:
        What goes into the checkpoint's configuration, for the agent to apply. Where nobody was held out, that is
        but what means that nobody spoke.
    """
    cache = Cache(settings.cache_folder)
    held = [clip for clip in read_clips(settings) if clip.part == "held" and clip.emotion in LABELS]
    held = cache.usable(held)
    if not held:
        return {"non_speech": [NON_SPEECH]}
    logits = predict_logits(model, [float_from_pcm16(cache.trimmed(clip)) for clip in held])[:, : len(LABELS)]
    weights = np.array(sampling_weights(held))
    curve = choose_curve(logits, np.array([clip.label for clip in held]), weights, speakers_of(held))
    trained = trained_prior(settings)
    corrected = settings.home_prior and min(trained.values()) > 0  # of what was never trained, nothing is known
    return {
        "calibration": {name: round(value, 4) for name, value in curve._asdict().items() if value != 1.0},
        **({"prior": {"trained": trained, "home": settings.home_prior}} if corrected else {}),
        "uncertain_below": round(fit_threshold(curve.calibrated(logits), weights, _COVERAGE), 3),
        "non_speech": [NON_SPEECH],
    }


def trained_prior(settings: Settings) -> dict[str, float]:
    """Give how often each emotion is drawn in training; they sum to 1."""
    clips = [clip for clip in read_clips(settings) if clip.part == "train"]
    shares = dict.fromkeys(LABELS, 0.0)
    for clip, weight in zip(clips, sampling_weights(clips, settings.shares), strict=True):
        if clip.emotion != NON_SPEECH:
            shares[clip.emotion] += weight
    spoken = sum(shares.values()) or 1.0
    return {label: round(share / spoken, 4) for label, share in shares.items()}


def write_checkpoint(model: Wav2Vec2ForSequenceClassification, about: dict[str, Any], folder: Path) -> None:
    """Store a model so that plain ``from_pretrained`` gives it in single precision again.

    The weights are stored in half precision; the configuration asks for single, since the processor is slow, or
    inexact around the positions' constant of 16, with anything less.

    Args:
        model: is in half precision afterwards.
        about: who it is, and how to read its logits: the configuration's ``ser_agent``.
        folder: is made where it is missing.
    """
    model.config.ser_agent = about
    model.half().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    Wav2Vec2FeatureExtractor(return_attention_mask=True, do_normalize=True).save_pretrained(folder)
