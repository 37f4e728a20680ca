"""What must be true of a checkpoint before its answers can be believed. Pure: needs no torch."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ser_agent.errors import ModelError
from ser_agent.labels import Emotion, canonical_label
from ser_agent.ports import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

DIMENSIONS = {"arousal", "dominance", "valence"}
FOREIGN = {
    "hyperparams.yaml": "SpeechBrain",
    "model.pt": "FunASR or fairseq",
    "configuration.json": "ModelScope",
}
MAX_WEIGHTS_BYTES = 8 * 2**30
_BARE_LABEL = re.compile(r"^LABEL_\d+$")
_CUSTOM_HEADS = ("classifier.dense.", "classifier.output.", "classifier.out_proj.")


def check_folder(name: str, folder: Path) -> None:
    """Raise ``ModelError`` where a folder holds no checkpoint that can be loaded."""
    if not folder.is_dir():
        raise ModelError(f"model {name}: {folder} is no folder")
    if not (folder / "config.json").is_file():
        for file, framework in FOREIGN.items():
            if (folder / file).exists():
                raise ModelError(
                    f"model {name}: {folder} is a checkpoint of {framework}, which is another framework: "
                    "a Hugging Face audio-classification checkpoint is needed"
                )
        raise ModelError(f"model {name}: {folder} has no config.json: it is no Hugging Face checkpoint")
    try:
        json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"model {name}: {folder / 'config.json'} is not JSON: {error}") from error
    weights = list(folder.glob("*.safetensors"))
    if not weights:
        pickled = [file.name for file in (*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth"))]
        found = (
            f" only pickled ones ({', '.join(pickled)}), whose loading runs code" if pickled else " none at all"
        )
        raise ModelError(f"model {name}: {folder} has no weights in safetensors,{found}")
    if sum(file.stat().st_size for file in weights) > MAX_WEIGHTS_BYTES:
        raise ModelError(f"model {name}: its weights are larger than {MAX_WEIGHTS_BYTES >> 30} GiB")
    if not (folder / "preprocessor_config.json").is_file():
        raise ModelError(
            f"model {name}: {folder} has no preprocessor_config.json, so how it wants sound is unknown"
        )


def check_config(name: str, config: Any) -> None:  # noqa: ANN401 - a transformers configuration
    """Raise ``ModelError`` where a model does not classify."""
    labels = {str(label).lower() for label in (config.id2label or {}).values()}
    if config.problem_type == "regression" or labels & DIMENSIONS or len(labels) < 2:
        raise ModelError(
            f"model {name}: its head gives {', '.join(sorted(labels)) or 'nothing'} by regression, not classes: "
            "its values are no probabilities"
        )


def check_weights(name: str, report: Mapping[str, Iterable[Any]]) -> None:
    """Raise ``ModelError`` where weights were not in the checkpoint and are now random.

    Args:
        name: how messages call the model.
        report: the loading report of transformers (``output_loading_info=True``).
    """
    missing = sorted(map(str, report.get("missing_keys", ())))
    unexpected = sorted(map(str, report.get("unexpected_keys", ())))
    mismatched = sorted(
        str(key[0] if isinstance(key, tuple) else key) for key in report.get("mismatched_keys", ())
    )
    custom = [key for key in unexpected if key.startswith(_CUSTOM_HEADS)]
    if missing and custom:
        raise ModelError(
            f"model {name}: its head ({', '.join(custom)}) belongs to a class of its author's: loaded without "
            "that, the head would be random. Convert it to the standard class, or take another checkpoint"
        )
    if missing or mismatched:
        raise ModelError(
            f"model {name}: these weights are not in the checkpoint and would be random: "
            f"{', '.join((missing + mismatched)[:6])}. It was probably never fine-tuned for classification"
        )


def name_labels(
    name: str, id2label: Mapping[int, str], mapping: Mapping[str, str] | None, *, keep: bool
) -> tuple[str, ...]:
    """Name each of the model's outputs.

    Args:
        name: how messages call the model.
        id2label: the model's own labels.
        mapping: the user's names, by label or by index.
        keep: whether the model's own labels stay where the user names none.

    Returns:
        A name for each output, in the order of the outputs; outputs may share one and are then summed.

    Raises:
        ModelError: a label says nothing, or the mapping names one that does not exist.
    """
    own = [str(id2label[index]) for index in sorted(id2label)]
    given = dict(mapping or {})
    if unknown := [key for key in given if key not in own and not (key.isdigit() and int(key) < len(own))]:
        raise ModelError(f"model {name}: labels: no {', '.join(unknown)}; the model has {', '.join(own)}")
    names = []
    for index, label in enumerate(own):
        chosen = given.get(label, given.get(str(index)))
        names.append(chosen or (label if keep else canonical_label(label) or label))
    if bare := [label for label in names if _BARE_LABEL.match(label)]:
        words = ", ".join(f"{label}: ?" for label in bare)
        raise ModelError(
            f"model {name}: its labels say nothing. Name them in the configuration, as its author documents them: "
            f"classifier: {{labels: {{{words}}}}} with words of {', '.join(Emotion)}"
        )
    return tuple(str(label) for label in names)


def model_info(name: str, config: Any, labels: tuple[str, ...], revision: str | None) -> ModelInfo:  # noqa: ANN401
    """What the checkpoint says of itself, in ``config.json``'s key ``ser_agent`` where its author put it there."""
    own = getattr(config, "ser_agent", None) or {}
    version = own.get("revision", revision)
    called = str(own.get("name", name))
    return ModelInfo(
        name=f"{called}@{version}" if version is not None else called,
        labels=labels,
        licence=own.get("licence"),
        languages=tuple(own.get("languages", ())),
    )
