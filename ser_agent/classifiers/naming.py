"""What a checkpoint's outputs are called, and what it says of itself. Pure: needs no torch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ser_agent.errors import ModelError
from ser_agent.labels import Emotion, canonical_label
from ser_agent.ports import UNCERTAIN_BELOW, ModelInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ser_agent.classifiers.metadata import Metadata

_SAYS_NOTHING = re.compile(r"^(label[_ ]?)?\d+$", re.IGNORECASE)


def own_labels(id2label: Mapping[int, str]) -> tuple[str, ...]:
    """The model's own labels, in the order of its outputs."""
    return tuple(str(id2label[index]).strip() for index in sorted(id2label))


def name_labels(
    name: str,
    own: Sequence[str],
    mapping: Mapping[str, str] | None,
    *,
    keep: bool,
    unheard: Sequence[str] = (),
) -> tuple[str, ...]:
    """Name each of the model's outputs.

    Args:
        name: how messages call the model.
        own: the model's own labels, in the order of its outputs.
        mapping: the user's names, by the model's label or by index; they win over everything.
        keep: whether the model's own labels stay where the user names none; otherwise those that an alias is
            known for get the vocabulary's word.
        unheard: labels that no event ever tells, and that therefore may say nothing.

    Returns:
        A name for each output, in the order of the outputs. Outputs may share one: their probabilities are summed.

    Raises:
        ModelError: a label says nothing, or the mapping names one that does not exist, or names one twice.
    """
    given = dict(mapping or {})
    _check_mapping(name, own, given)
    names: list[str] = []
    unnamed: list[str] = []
    for index, label in enumerate(own):
        chosen = given.get(label, given.get(str(index)))
        names.append(chosen or (label if keep else str(canonical_label(label) or label)))
        if chosen is None and label not in unheard and (not label or _SAYS_NOTHING.match(label)):
            unnamed.append(label or str(index))
    if unnamed:
        words = ", ".join(f"{label}: …" for label in unnamed)
        raise ModelError(
            f"model {name}: its labels {', '.join(unnamed)} say nothing. Look up what they mean in the model's "
            f"card and name them in the configuration: `classifier: {{labels: {{{words}}}}}`, each with a word of "
            f"the vocabulary ({', '.join(Emotion)}) or one of your own"
        )
    return tuple(names)


def _check_mapping(name: str, own: Sequence[str], given: Mapping[str, str]) -> None:
    indices = {str(index): label for index, label in enumerate(own) if str(index) not in own}
    if unknown := [key for key in given if key not in own and key not in indices]:
        raise ModelError(
            f"model {name}: the configuration's classifier.labels names {', '.join(unknown)}, which the model "
            f"does not have. It has {', '.join(f'{index} ({label})' for index, label in enumerate(own))}"
        )
    if twice := [f"{key} and {indices[key]}" for key in given if key in indices and indices[key] in given]:
        raise ModelError(
            f"model {name}: the configuration's classifier.labels names the same output twice: {', '.join(twice)}"
        )


def model_info(name: str, metadata: Metadata, labels: Sequence[str], revision: str | None) -> ModelInfo:
    """What a checkpoint says of itself.

    Args:
        name: the model's, where the checkpoint tells none.
        metadata: what its author tells.
        labels: names of the outputs that are emotions; those that occur twice are summed and told once.
        revision: where the checkpoint tells none.
    """
    version = revision if metadata.revision is None else metadata.revision
    called = name if metadata.name is None else metadata.name
    threshold = UNCERTAIN_BELOW if metadata.uncertain_below is None else metadata.uncertain_below
    return ModelInfo(
        name=called if version is None else f"{called}@{version}",
        labels=tuple(dict.fromkeys(labels)),
        licence=metadata.licence,
        languages=metadata.languages or (),
        uncertain_below=threshold,
    )
