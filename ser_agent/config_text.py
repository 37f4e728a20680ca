"""Writing configurations: the commented example, the effective one without its secrets, its digest."""

from __future__ import annotations

import hashlib
import json
import textwrap
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, SecretStr

from ser_agent.config import Loaded, model, validate
from ser_agent.plugins import PORTS, available
from ser_agent.yaml_file import Document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.yaml_file import KeyPath

MASK = "**********"
WIDTH = 110
_SECTION_PORTS = {
    "source": "sources",
    "vad": "vads",
    "classifier": "classifiers",
    "sinks": "sinks",
    "assistant": "voices",
}


def effective(loaded: Loaded) -> dict[str, Any]:
    """The configuration as plain values, defaults included, everything secret masked."""
    config = loaded.config
    return {name: _plain(getattr(config, name), (name,), loaded.secret) for name in type(config).model_fields}


def digest(loaded: Loaded) -> str:
    """SHA-256 of the configuration without its secrets, in hexadecimal."""
    text = json.dumps(effective(loaded), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def show(loaded: Loaded) -> str:
    """The effective configuration as YAML, everything secret masked."""
    return str(yaml.safe_dump(effective(loaded), sort_keys=False, allow_unicode=True))


def schema() -> str:
    """JSON Schema of the configuration, for editors."""
    return json.dumps(model().model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def example() -> str:
    """``config/ser-agent.yaml``: every key with its default and its comment; other plugins' keys commented out."""
    lines = [
        "# Configuration of ser_agent. Every key is optional; what stands here are the defaults.",
        "# Made by `ser-agent config example`.",
        "# A text may hold ${NAME} for an environment variable; `!secret name` takes a systemd credential or an",
        "# entry of secrets.yaml beside this file. Relative paths count from this file's folder.",
        "",
    ]
    defaults = validate(Document("defaults"))
    for name, field in type(defaults).model_fields.items():
        lines += _comment(field.description, "")
        value = getattr(defaults, name)
        if name == "sinks":
            lines.append("sinks:")
            for sink in value:
                lines += _as_item(_body(sink, "    "))
        elif isinstance(value, BaseModel):
            lines += [f"{name}:", *_body(value, "  ")]
        else:
            lines.append(f"{name}: {_scalar(value)}")
        lines += [*_alternatives(name, value), ""]
    return "\n".join(lines)


def _alternatives(section: str, chosen: Any) -> Iterator[str]:  # noqa: ANN401 - options, or a tuple of them
    port = _SECTION_PORTS.get(section)
    if port is None:
        return
    several = chosen if isinstance(chosen, tuple) else () if chosen is None else (chosen,)
    if section == "sinks":
        yield "  # More kinds of sinks:"
    else:
        yield "  # Kinds:" if chosen is None else f"  # Other kinds, instead of type: {chosen.type}:"
    used = {options.type for options in several}
    for entry in available(next(known for known in PORTS if known == port)).values():
        if entry.options is None or entry.name in used:
            continue
        yield "  #"
        yield from _comment(f"{entry.name}: {_first_line(entry.factory.__doc__)}", "  ")
        required = {name for name, field in entry.options.model_fields.items() if field.is_required()}
        values = entry.options.model_construct(type=entry.name)
        body = _body(values, "    ", required)
        body = _as_item(body) if section == "sinks" else [line[2:] for line in body]
        yield from ("  # " + line[2:] for line in body)


def _as_item(body: list[str]) -> list[str]:
    first = next(index for index, line in enumerate(body) if not line.lstrip().startswith("#"))
    ordered = [body[first], *body[:first], *body[first + 1 :]]
    return ["  - " + ordered[0].lstrip(), *ordered[1:]]


def _body(options: BaseModel, indent: str, required: frozenset[str] | set[str] = frozenset()) -> list[str]:
    lines: list[str] = []
    for name, field in type(options).model_fields.items():
        if name != "type":
            lines += _comment(field.description, indent)
        if name in required:
            lines.append(f"{indent}{name}:  # required")
            continue
        value = getattr(options, name)
        if isinstance(value, BaseModel):
            lines += [f"{indent}{name}:", *_body(value, indent + "  ")]
        else:
            lines.append(f"{indent}{name}: {_scalar(value)}")
    return lines


def _comment(text: str | None, indent: str) -> list[str]:
    plain = " ".join((text or "").split())
    return [f"{indent}# {line}" for line in textwrap.wrap(plain, WIDTH - len(indent))]


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]


def _scalar(value: Any) -> str:  # noqa: ANN401 - any default
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
    return str(text).removesuffix("\n").removesuffix("\n...")


def _plain(value: Any, path: KeyPath, secret: frozenset[KeyPath]) -> Any:  # noqa: ANN401 - any value of a model
    if path in secret or isinstance(value, SecretStr):
        return MASK
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name), (*path, name), secret) for name in type(value).model_fields}
    if isinstance(value, tuple):
        return [_plain(item, (*path, index), secret) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _plain(item, (*path, key), secret) for key, item in value.items()}
    return value
