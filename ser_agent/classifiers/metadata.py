"""What a checkpoint's author tells the agent: ``ser_agent`` in ``config.json``. Pure: needs no torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ser_agent.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

KEY = "ser_agent"

Share = Annotated[float, Field(gt=0.0)]


class _Keys(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Calibration(_Keys):
    """How logits become calibrated ones: ``bent(logits / temperature, power) + bias``."""

    temperature: float = Field(default=1.0, gt=0.0)
    """Above 1 where the model is surer than it is right."""
    power: float = Field(default=1.0, gt=0.0, le=4.0)
    """Below 1 where the model is too sure of its surest answers only, or too unsure of its most unsure ones only:
    how far the best label of speech stands above their mean is raised to it. 1 bends nothing."""
    bias: dict[str, float] = {}
    """By the model's own label; 0 for those left out."""


class Priors(_Keys):
    """How often each label of speech occurs, in proportions that need not sum to 1; every one is named."""

    home: dict[str, Share] | None = None
    """In the homes that the model is meant for."""
    trained: dict[str, Share] | None = None
    """In what the model learnt from; where it is absent, each as often as the others."""


class Metadata(_Keys):
    """All that the agent reads of the mapping. Its author may keep other things in it."""

    model_config = ConfigDict(extra="ignore")

    name: str | None = None
    revision: int | str | None = None
    licence: str | None = None
    """SPDX identifier."""
    languages: tuple[str, ...] | None = None
    """ISO 639-1 codes of the languages trained on."""
    calibration: Calibration = Calibration()
    prior: Priors = Priors()
    uncertain_below: float | None = Field(default=None, ge=0.0, le=1.0)
    """Confidence of the best label under which an emotion is ``uncertain``."""
    non_speech: tuple[str, ...] = ()
    """The model's own labels that mean that nobody spoke."""

    def spoken(self, labels: Sequence[str]) -> list[str]:
        """Those of a model's labels that are emotions."""
        return [label for label in labels if label not in self.non_speech]


def read_metadata(where: str, given: Any, labels: Sequence[str]) -> Metadata:  # noqa: ANN401 - whatever stands there
    """Read the mapping.

    Args:
        where: names the model and its file in messages.
        given: what stands in ``config.json``; None where there is no such key.
        labels: the model's own, in the order of its outputs.

    Raises:
        ModelError: a value is of the wrong type or out of range, or a label is not the model's.
    """
    try:
        metadata = Metadata() if given is None else Metadata.model_validate_json(json.dumps(given))
    except ValidationError as error:
        raise ModelError(f"{where}: {_explained(error, given)}") from error
    prefix = f"{where}: {KEY}"
    check_known(f"{prefix}.calibration.bias", metadata.calibration.bias, labels)
    check_known(f"{prefix}.non_speech", metadata.non_speech, labels)
    spoken = metadata.spoken(labels)
    if not spoken:
        raise ModelError(f"{prefix}.non_speech leaves no label of speech")
    for name, shares in (("home", metadata.prior.home), ("trained", metadata.prior.trained)):
        if shares is not None:
            check_complete(f"{prefix}.prior.{name}", shares, spoken)
    return metadata


def check_known(where: str, named: Iterable[str], labels: Sequence[str]) -> None:
    """Refuse labels that are none of the given ones.

    Raises:
        ModelError: the message names them.
    """
    if unknown := [label for label in named if label not in labels]:
        raise ModelError(f"{where} names {', '.join(unknown)}, which is none of {', '.join(labels)}")


def check_complete(where: str, shares: Mapping[str, float], spoken: Sequence[str]) -> None:
    """Refuse a prior that does not name just the labels of speech: what the others should get is a guess.

    Raises:
        ModelError: the message names what is too many, or missing.
    """
    check_known(where, shares, spoken)
    if missing := [label for label in spoken if label not in shares]:
        raise ModelError(f"{where} leaves out {', '.join(missing)}: it must name each of {', '.join(spoken)}")


def _explained(error: ValidationError, given: Any) -> str:  # noqa: ANN401 - plain JSON data
    """The first mistake: its key, what is wrong, and the value where that is short."""
    first = error.errors()[0]
    path, node = [KEY], given
    for step in first["loc"]:  # a union's steps name the type that was tried, and are no keys
        keys = range(len(node)) if isinstance(node, list) else node if isinstance(node, dict) else ()
        if step in keys:
            path.append(str(step))
            node = node[step]
    message = first["msg"]
    got = "" if isinstance(node, dict | list) else f", not {json.dumps(node)}"
    return f"{'.'.join(path)}: {message[0].lower()}{message[1:]}{got}"
