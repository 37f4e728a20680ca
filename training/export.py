"""The embedded model's folder: the calibrated checkpoint in half precision, its card and its notice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import Wav2Vec2FeatureExtractor

from training.card import model_card
from training.evaluate import calibrated_model
from training.settings import ROOT

if TYPE_CHECKING:
    from transformers import Wav2Vec2ForSequenceClassification

    from training.settings import Settings

MODEL_FOLDER = ROOT / "ser_agent" / "model"
MAX_BYTES = 20_000_000
IDENTITY = {"name": "embedded", "revision": 1, "licence": "CC-BY-NC-SA-4.0", "languages": ["en", "pl"]}


def export(settings: Settings) -> None:
    """Write the best model so far, with the figures that ``evaluate`` and ``baseline`` kept."""
    torch.set_num_threads(settings.threads)
    model, _ = calibrated_model(settings)
    write_checkpoint(model, MODEL_FOLDER)
    results = json.loads(settings.results_file.read_text(encoding="utf-8"))
    (MODEL_FOLDER / "README.md").write_text(model_card(results), encoding="utf-8")
    shutil.copyfile(Path(__file__).parent / "NOTICE-model", MODEL_FOLDER / "NOTICE")
    sizes = {path.name: path.stat().st_size for path in sorted(MODEL_FOLDER.iterdir()) if path.is_file()}
    print(*(f"{size:>10,} {name}" for name, size in sizes.items()), sep="\n")
    if sum(sizes.values()) > MAX_BYTES:
        raise ValueError(f"{MODEL_FOLDER}: larger than {MAX_BYTES:,} bytes")


def write_checkpoint(model: Wav2Vec2ForSequenceClassification, folder: Path) -> None:
    """Store a model so that plain ``from_pretrained`` gives it in single precision again.

    The weights are stored in half precision; the configuration asks for single, since the processor is slow, or
    inexact around the positions' constant of 16, with anything less.

    Args:
        model: is in half precision afterwards.
        folder: is made where it is missing.
    """
    model.config.ser_agent = IDENTITY
    model.half().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    Wav2Vec2FeatureExtractor(return_attention_mask=True, do_normalize=True).save_pretrained(folder)
