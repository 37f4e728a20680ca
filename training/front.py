"""The front end that ``distil`` makes, taken out of a finished model instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import Wav2Vec2Model

from ser_agent.errors import ModelError
from training.network import load_model
from training.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from training.settings import Settings

FRONT = "front"
PARTS = ("feature_extractor", "feature_projection")
"""What the front end's first step trains, and no step after it: finished models have it as it was then."""


@torch.no_grad()
def take_front(settings: Settings, model: Path | None = None) -> None:
    """Put the front end of a finished model below the encoder that the experiment starts from.

    In the run's folder there is then ``front/``, as ``distil`` would have left it but for the half precision of
    what finished models are stored in: a ``Wav2Vec2Model`` whose layers have learnt from no label.

    Args:
        settings: of the experiment that ``distil`` would be run with.
        model: the finished model's folder; the embedded one by default.

    Raises:
        ModelError: there is a front end already, or the model has one of another shape.
    """
    target = settings.run_folder / FRONT
    if target.exists():
        raise ModelError(f"{target} is there already: it took `distil` minutes to make; delete it to have another")
    folder = model or ROOT / "ser_agent" / "model"
    encoder = Wav2Vec2Model.from_pretrained(settings.start_folder, dtype=torch.float32)
    finished = load_model(folder).wav2vec2
    for part in PARTS:
        try:
            encoder.get_submodule(part).load_state_dict(finished.get_submodule(part).state_dict())
        except RuntimeError as error:
            raise ModelError(f"{folder}: its {part} does not fit {settings.start_folder}: {error}") from error
    encoder.save_pretrained(target)
    print(f"{target}: {', '.join(PARTS)} of {folder}, all else of {settings.start_folder}", flush=True)
