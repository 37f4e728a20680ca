"""Reading YAML so that every mistake can be told by file, line and key, and secrets stay secret.

``${NAME}`` inside a text stands for an environment variable (``$${`` for a plain ``${``). ``!secret name`` stands
for a value kept elsewhere: the systemd credential of that name, else an entry of ``secrets.yaml`` beside the file.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from ser_agent.errors import ConfigError

KeyPath: TypeAlias = tuple[str | int, ...]
OVERRIDES = "--set"
SECRETS_FILE = "secrets.yaml"
MAX_FILE_BYTES = 1_000_000
MAX_VALUES = 10_000
MAX_DEPTH = 30
_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(slots=True)
class Document:
    """A YAML file's content.

    Attributes:
        name: the file, as messages call it.
        data: plain Python values.
        lines: for each key path the line where its key stands, counted from 1.
        secret: key paths whose values came from a variable or a secret, and must never be shown.
        overridden: dotted keys whose values come from the command line rather than from the file.
    """

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[KeyPath, int] = field(default_factory=dict)
    secret: set[KeyPath] = field(default_factory=set)
    overridden: set[str] = field(default_factory=set)

    def where(self, path: KeyPath) -> str:
        """File and line of a key, or of the nearest key around it; ``--set`` for what was set there."""
        for length in range(len(path), -1, -1):
            if ".".join(map(str, path[:length])) in self.overridden:
                return OVERRIDES
            if line := self.lines.get(path[:length]):
                return f"{self.name}:{line}"
        return self.name


def read_document(path: Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Raises:
        ConfigError: it cannot be read, is not YAML, or has a key twice.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes: no configuration")
    try:
        node = yaml.compose(content.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}{_explain(error)}") from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply: no configuration") from error
    document = Document(str(path))
    if node is None:
        return document
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}:{node.start_mark.line + 1}: expected keys and values at the top")
    document.data = _Reader(document, path.parent).mapping(node, ())
    return document


def parse_scalar(text: str) -> Any:  # noqa: ANN401 - whatever YAML's rules make of it
    """What a text means as a YAML value: ``18883`` is a number, ``[a, b]`` a list.

    Raises:
        ConfigError: it is not YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"this is not a YAML value{_explain(error)}") from error
    except RecursionError as error:
        raise ConfigError("a value is nested too deeply") from error


def _explain(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or error)
    if "'\\t'" in problem:
        problem = "a tab: YAML is indented with blanks only"
    return f":{mark.line + 1}: {problem}" if mark else f": {problem}"


class _Reader:
    """Turns YAML nodes into values, noting lines and secrets on the way."""

    def __init__(self, document: Document, folder: Path) -> None:
        self._document = document
        self._folder = folder
        self._constructor = yaml.SafeLoader("")
        self._active: set[int] = set()
        self._values = 0

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key_node.tag == "tag:yaml.org,2002:merge":
                raise ConfigError(f"{self._document.name}:{line}: a key must be a plain word")
            if key in result:
                first = self._document.lines[(*path, key)]
                raise ConfigError(
                    f"{self._document.name}:{line}: key {key!r} stands twice (first in line {first})"
                )
            self._document.lines[(*path, key)] = line
            result[key] = self._value(value_node, (*path, key))
        return result

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:  # noqa: ANN401 - any YAML value
        if id(node) in self._active:
            raise ConfigError(f"{self._document.where(path)}: an alias inside what it stands for")
        self._values += 1
        if self._values > MAX_VALUES:
            raise ConfigError(f"{self._document.where(path)}: more than {MAX_VALUES} values: no configuration")
        if len(path) > MAX_DEPTH:
            raise ConfigError(f"{self._document.where(path)}: nested too deeply: no configuration")
        self._active.add(id(node))
        try:
            if node.tag == "!secret" and isinstance(node, yaml.ScalarNode):
                self._document.secret.add(path)
                return self._secret(node.value, path)
            if isinstance(node, yaml.MappingNode):
                return self.mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._scalar(node, path)
        finally:
            self._active.discard(id(node))

    def _item(self, node: yaml.Node, path: KeyPath) -> Any:  # noqa: ANN401 - any YAML value
        self._document.lines[path] = node.start_mark.line + 1
        return self._value(node, path)

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:  # noqa: ANN401 - any YAML value
        try:
            value = self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"{self._document.where(path)}: {_explain_value(error)}") from error
        if isinstance(value, str) and "${" in value:
            return self._expand(value, path)
        return value

    def _expand(self, text: str, path: KeyPath) -> str:
        def replacement(match: re.Match[str]) -> str:
            name = match[1]
            if name is None:
                return "${"
            self._document.secret.add(path)
            if name not in os.environ:
                raise ConfigError(f"{self._document.where(path)}: the environment has no variable {name}")
            return os.environ[name]

        return _VARIABLE.sub(replacement, text)

    def _secret(self, name: str, path: KeyPath) -> Any:  # noqa: ANN401 - any YAML value
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if credentials and name and Path(name).name == name:
            credential = Path(credentials, name)
            if credential.is_file():
                return credential.read_text(encoding="utf-8").rstrip("\r\n")
        file = self._folder / SECRETS_FILE
        known = read_document(file).data if file.is_file() and file.name != Path(self._document.name).name else {}
        if name not in known:
            places = "the systemd credentials" if credentials else "the systemd credentials (there are none)"
            raise ConfigError(f"{self._document.where(path)}: no secret {name!r} in {places} or in {file}")
        return known[name]


def _explain_value(error: Exception) -> str:
    problem = getattr(error, "problem", None)
    return str(problem or error)
