"""What must be true of a checkpoint before its answers can be believed. Pure: needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ser_agent.audio import SAMPLE_RATE
from ser_agent.classifiers.heads import head_of_soxan
from ser_agent.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_DIMENSIONS = {"arousal", "dominance", "valence", "activation"}
_CUSTOM_HEAD = ("classifier.dense.", "classifier.output.", "classifier.out_proj.", "classifier.out.")
_HARMLESS = "masked_spec_embed"
"""Used in training alone: it may be missing, or be there without use."""


def check_config(name: str, config: Any) -> None:  # noqa: ANN401 - a transformers configuration
    """Refuse what does not choose one of several classes.

    Raises:
        ModelError: the head is one of regression, or its labels do not exclude one another.
    """
    labels = [str(label) for label in (config.id2label or {}).values()]
    listed = ", ".join(labels) or "nothing"
    problem = config.problem_type
    regression = problem == "regression" or {label.lower() for label in labels} & _DIMENSIONS
    if regression or len(labels) == 1:
        raise ModelError(
            f"model {name}: its head is one of regression (it gives {listed}), so its values are no probabilities "
            "of emotions: take a checkpoint with a classification head"
        )
    if problem == "multi_label_classification":
        raise ModelError(
            f"model {name}: its labels ({listed}) do not exclude one another (multi_label_classification), so "
            "there is no distribution over them: take a checkpoint with single labels"
        )


def check_extractor(name: str, extractor: Any) -> None:  # noqa: ANN401 - a transformers feature extractor
    """Refuse a model that was trained on another sampling rate.

    Raises:
        ModelError: the rate is not 16 kHz, or the checkpoint tells none.
    """
    rate = getattr(extractor, "sampling_rate", None)
    if rate != SAMPLE_RATE:
        found = f"wants sound of {rate} Hz" if rate else "does not say which sampling rate it wants"
        raise ModelError(
            f"model {name}: it {found}, and the agent hears at {SAMPLE_RATE} Hz: take a model for {SAMPLE_RATE} Hz"
        )


def check_weights(name: str, config: Any, report: Mapping[str, Iterable[Any]], encoder: str) -> bool:  # noqa: ANN401
    """Refuse a model that is partly random because weights were missing, had another shape, or had no place.

    Args:
        name: how messages call the model.
        config: the configuration of transformers.
        report: of transformers' loading (``output_loading_info=True``).
        encoder: the encoder's name, with which its weights' names start.

    Returns:
        Whether the head is the one of ``ser_agent.classifiers.heads`` and must be put in the stock one's place.

    Raises:
        ModelError: something is random; the message names it.
    """
    missing = _keys(report, "missing_keys")
    mismatched = _keys(report, "mismatched_keys")
    unexpected = _keys(report, "unexpected_keys")
    lost = [key for key in unexpected if key.startswith(f"{encoder}.")]
    head = [key for key in unexpected if key.startswith(_CUSTOM_HEAD)]
    if not mismatched and not lost and head_of_soxan(config, missing, unexpected):
        return True
    if missing and head:
        raise ModelError(
            f"model {name}: its head ({', '.join(head)}) belongs to a class of its author's, which the checkpoint "
            "does not fully describe; loaded without that class the head would be random, and guessed at it would "
            "be wrong. Take another checkpoint, or convert this one with its author's code"
        )
    if missing or mismatched:
        raise ModelError(
            f"model {name}: these weights are missing from the checkpoint or have another shape, and would be "
            f"random: {_some(missing + mismatched)}. Probably it was never trained to classify: take a "
            "checkpoint for audio classification"
        )
    if lost:
        raise ModelError(
            f"model {name}: these weights of the checkpoint have no place in the model that its config.json "
            f"describes, and would be left out: {_some(lost)}. Fetch it again, or take another checkpoint"
        )
    return False


def _keys(report: Mapping[str, Iterable[Any]], kind: str) -> list[str]:
    keys = (str(key[0]) if isinstance(key, tuple) else str(key) for key in report.get(kind, ()))
    return sorted(key for key in keys if not key.endswith(_HARMLESS))


def _some(keys: list[str], most: int = 6) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more
