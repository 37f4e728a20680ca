"""The mean of several models' weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ser_agent.errors import ConfigError
from training.network import load_model

if TYPE_CHECKING:
    from training.settings import Settings


def average(settings: Settings) -> None:
    """Put the mean of the weights that several experiments have made into this experiment's ``last/``.

    Models of which each was trained further from the one before lie close enough for that, and the mean hears
    strangers better than any of them (Wortsman et al., "Model soups", 2022).

    Raises:
        ConfigError: the experiment does not say of which.
    """
    if not settings.average:
        raise ConfigError("average: lists no experiments whose models are to be averaged")
    runs = settings.run_folder.parent
    models = [load_model(runs / name / "last") for name in settings.average]
    weights = [model.state_dict() for model in models]
    mean = {name: torch.stack([each[name] for each in weights]).mean(dim=0) for name in weights[0]}
    models[0].load_state_dict(mean)
    models[0].save_pretrained(settings.run_folder / "last")
