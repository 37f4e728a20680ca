"""What the steps without labels are made of: a section of an experiment."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LayersSettings(_Section):
    """Distilling's second step: the layers learn what Whisper's give; it is left out where there are no steps.

    Attributes:
        crop_s: the crops' length in seconds.
        precision: of the multiplications, as in ``FinetuneSettings``.
    """

    steps: int = Field(0, ge=0)
    minutes: float = Field(60.0, gt=0)
    batch_size: int = Field(16, ge=1)
    crop_s: float = Field(2.5, ge=0.2)
    warmup_steps: int = Field(50, ge=1)
    learning_rate: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    precision: Literal["float32", "bfloat16"] = "float32"


class DistilSettings(_Section):
    """The front end's own step: it learns what Whisper's stem gives, from crops of ``crop_s`` seconds.

    Attributes:
        steps: with 0 the front end stays as it is.
        layers: the step after it.
    """

    steps: int = Field(3000, ge=0)
    minutes: float = Field(25.0, gt=0)
    batch_size: int = Field(24, ge=1)
    crop_s: float = Field(1.54, ge=0.2)
    warmup_steps: int = Field(50, ge=1)
    learning_rate: float = Field(6e-4, gt=0)
    layers: LayersSettings = LayersSettings()
