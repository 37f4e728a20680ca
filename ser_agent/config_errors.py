"""What is wrong with a configuration, in words that help: file, line, key, and what was probably meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from ser_agent.plugins import PORTS, Port, available

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from ser_agent.yaml_file import Document, KeyPath

_PORTS: dict[str, Port] = {
    "source": "sources",
    "vad": "vads",
    "classifier": "classifiers",
    "sinks": "sinks",
    "assistant": "voices",
}
"""The port that a section's plugins serve."""
_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "dict_type": "keys and values",
}


def explain(error: ValidationError, document: Document, model: type[BaseModel]) -> list[str]:
    """One line for each mistake, in the order of the file.

    Args:
        error: what the model found.
        document: what it was shown.
        model: the model.
    """
    mistakes: dict[KeyPath, list[ErrorDetails]] = {}
    for detail in error.errors():
        mistakes.setdefault(_key_path(detail["loc"], document.data), []).append(detail)
    return [
        f"{document.where(path)}: {'.'.join(map(str, path))}: "
        + (_fault_of_plugin(path, document) or _explain(details, path, document, model))
        for path, details in sorted(mistakes.items(), key=lambda mistake: document.lines.get(mistake[0], 0))
    ]


def _key_path(location: tuple[str | int, ...], data: Any) -> KeyPath:  # noqa: ANN401 - plain YAML data
    """A model's location without what stands in it and is no key: a plugin's type, one of several types."""
    path: list[str | int] = []
    node = data
    for step in location:
        if isinstance(node, dict) and not (step not in node and step == node.get("type")):
            path.append(step)
            node = node.get(step)
        elif isinstance(node, list) and isinstance(step, int):
            path.append(step)
            node = node[step] if step < len(node) else None
    return tuple(path)


def _explain(details: list[ErrorDetails], path: KeyPath, document: Document, model: type[BaseModel]) -> str:
    expected = [_EXPECTED[detail["type"]] for detail in details if detail["type"] in _EXPECTED]
    if expected:  # several where a key takes values of several types
        return f"expected {' or '.join(expected)}{_got(path, document)}"
    detail = details[0]
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = sorted(set(_known_keys(model, path[:-1], document.data)))
        return f"unknown key{_did_you_mean(str(path[-1]), known)}"
    if kind == "union_tag_invalid":
        context = detail.get("ctx", {})
        tag, known = (
            str(context.get("tag")),
            [name.strip(" '") for name in str(context["expected_tags"]).split(",")],
        )
        return f"unknown type {tag!r}{_did_you_mean(tag, known)}"
    if kind == "union_tag_not_found":
        return "the key 'type' is missing"
    if kind == "literal_error":
        return f"expected {detail.get('ctx', {}).get('expected')}{_got(path, document)}"
    message = detail["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:] + _got(path, document)


def _fault_of_plugin(path: KeyPath, document: Document) -> str | None:
    """Why the plugin that is named at a path cannot be used, where it is installed and yet cannot."""
    section = path[:-1] if path[-1:] == ("type",) else path
    node: Any = document.data
    for step in section:
        if not isinstance(node, dict | list) or (isinstance(node, dict) and step not in node):
            return None
        node = node[step]  # type: ignore[index]
    port = _PORTS.get(str(section[0])) if section else None
    entry = available(port).get(str(node.get("type"))) if port and isinstance(node, dict) else None
    if entry is None or entry.fault is None:
        return None
    return f"the plugin {entry.name!r} ({entry.distribution}) cannot be loaded: {entry.fault}"


def _got(path: KeyPath, document: Document) -> str:
    if path in document.secret or "password" in str(path[-1:]):
        return " (the value is a secret and not shown)"
    node: Any = document.data
    for step in path:
        if not isinstance(node, dict | list) or (isinstance(node, dict) and step not in node):
            return ""
        node = node[step]  # type: ignore[index]
    if isinstance(node, dict | list):
        return ""
    shown = repr(node)
    return f", not {shown if len(shown) <= 60 else shown[:60] + '…'}"


def _did_you_mean(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f": did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}"


def _known_keys(model: type[BaseModel], path: KeyPath, data: Any) -> Iterator[str]:  # noqa: ANN401 - plain data
    """Keys of the model that stands at a path, following the plugin type that the data names there."""
    candidates: list[type[BaseModel]] = [model]
    node = data
    for step in path:
        node = node[step]
        if isinstance(step, str):
            fields = [m.model_fields[step].annotation for m in candidates if step in m.model_fields]
            candidates = [m for annotation in fields for m in _models_in(annotation)]
        kind = node.get("type") if isinstance(node, dict) else None
        named = [m for m in candidates if "type" in m.model_fields and m.model_fields["type"].default == kind]
        candidates = named or _plugins(kind, candidates) or candidates
    for candidate in candidates:
        yield from candidate.model_fields


def _plugins(name: object, bases: list[type[BaseModel]]) -> list[type[BaseModel]]:
    """The options of plugins of that name, where keys are those of any plugin of a kind."""
    options = [entry.options for port in PORTS for entry in available(port).values() if entry.name == name]
    return [model for model in options if model is not None and issubclass(model, tuple(bases))]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any type expression
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
