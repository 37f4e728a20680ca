"""What a checkpoint's outputs are called, and what it says of itself. Pure: needs no torch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ser_agent.errors import ModelError
from ser_agent.labels import Emotion, canonical_label
from ser_agent.ports import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAYS_NOTHING = re.compile(r"^(label[_ ]?)?\d+$", re.IGNORECASE)


def name_labels(
    name: str, id2label: Mapping[int, str], mapping: Mapping[str, str] | None, *, keep: bool
) -> tuple[str, ...]:
    """Name each of the model's outputs.

    Args:
        name: how messages call the model.
        id2label: the model's own labels, by index.
        mapping: the user's names, by the model's label or by index; they win over everything.
        keep: whether the model's own labels stay where the user names none; otherwise those that an alias is
            known for get the vocabulary's word.

    Returns:
        A name for each output, in the order of the outputs. Outputs may share one: their probabilities are summed.

    Raises:
        ModelError: a label says nothing, or the mapping names one that does not exist, or names one twice.
    """
    own = [str(id2label[index]).strip() for index in sorted(id2label)]
    given = dict(mapping or {})
    _check_mapping(name, own, given)
    names: list[str] = []
    unnamed: list[str] = []
    for index, label in enumerate(own):
        chosen = given.get(label, given.get(str(index)))
        names.append(chosen or (label if keep else str(canonical_label(label) or label)))
        if chosen is None and (not label or _SAYS_NOTHING.match(label)):
            unnamed.append(label or str(index))
    if unnamed:
        words = ", ".join(f"{label}: …" for label in unnamed)
        raise ModelError(
            f"model {name}: its labels {', '.join(unnamed)} say nothing. Look up what they mean in the model's "
            f"card and name them in the configuration: `classifier: {{labels: {{{words}}}}}`, each with a word of "
            f"the vocabulary ({', '.join(Emotion)}) or one of your own"
        )
    return tuple(names)


def _check_mapping(name: str, own: list[str], given: Mapping[str, str]) -> None:
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


def model_info(name: str, config: Any, labels: tuple[str, ...], revision: str | None) -> ModelInfo:  # noqa: ANN401
    """What a checkpoint says of itself.

    Args:
        name: the model's, where the checkpoint tells none.
        config: the configuration of transformers; its author may have put a mapping ``ser_agent`` into
            ``config.json``, with the keys ``name``, ``revision``, ``licence`` and ``languages``, all optional.
        labels: names of the outputs; those that occur twice are summed and told once.
        revision: where the checkpoint tells none.
    """
    own = getattr(config, "ser_agent", None)
    told: dict[str, Any] = own if isinstance(own, dict) else {}
    version = told.get("revision", revision)
    called = str(told.get("name", name))
    licence = told.get("licence")
    return ModelInfo(
        name=f"{called}@{version}" if version is not None else called,
        labels=tuple(dict.fromkeys(labels)),
        licence=str(licence) if licence is not None else None,
        languages=tuple(str(language) for language in told.get("languages") or ()),
    )
