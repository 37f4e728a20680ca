"""The base of everything that can be configured: strict, frozen, every key with a docstring."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Options(BaseModel):
    """Keys of one part of the YAML.

    Unknown keys are refused, values are never coerced across kinds (a quoted number is not a number), and an
    instance never changes. The docstring under a field is its comment in ``config/ser-agent.yaml``.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        validate_default=True,
    )


class PluginOptions(Options):
    """Keys of one plugin. A subclass narrows ``type`` to the plugin's name: ``type: Literal["x"] = "x"``."""

    type: str
    """Which plugin."""


class VadOptions(PluginOptions):
    """Keys that every voice-activity detector has."""

    threshold: float = Field(default=0.5, gt=0.0, le=1.0)
    """Probability from which on a hop of 32 ms counts as speech."""


class VoiceOptions(PluginOptions):
    """Keys of everything that tells when the assistant speaks."""

    timeout_s: float = Field(default=60.0, gt=0.0, le=3600.0)
    """It never speaks for longer: after that, the message of its end is taken to be lost."""
    tail_ms: int = Field(default=200, ge=0, le=5000)
    """How long the room goes on sounding when it has ceased."""


class ClassifierOptions(PluginOptions):
    """Keys that every classifier has."""

    early: bool = True
    """Classify in the pause that is to end an utterance, so that the answer is there when it ends. Where somebody
    speaks on, that was for nothing."""
    partial_every_s: float | None = Field(default=None, ge=0.5, le=60.0)
    """Also say how an utterance sounds while it goes on, so often, on a topic of its own; `null`: never."""

    top: int = Field(default=3, ge=1)
    """How many emotions an event tells."""
    min_confidence: float | None = Field(default=None, ge=0.0, le=1.0)
    """Below this confidence of the best emotion, the event's emotion is `uncertain`; `null`: the model's own
    threshold, and 0.4 where it tells none."""
    time_limit_s: float = Field(default=30.0, ge=0.1, le=3600.0)
    """Seconds that the classifier may take for one utterance: then it counts as failed. After three times in a row
    the agent ends with 70, so that systemd starts it again."""
