"""The configuration: what the YAML may say, and reading it.

Every key is optional. The models of the five ports' plugins come from the plugins themselves, so a third party's
keys are checked, documented and listed just as the built-in ones are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

from pydantic import Field, SerializeAsAny, ValidationError, create_model, field_validator

from ser_agent.config_errors import explain
from ser_agent.errors import ConfigError
from ser_agent.fleet_wire import RESERVED_SITES
from ser_agent.options import ClassifierOptions, Options, PluginOptions, VadOptions, VoiceOptions
from ser_agent.page_options import PageOptions
from ser_agent.plugins import Port, available
from ser_agent.recording import Recording  # noqa: TC001 - pydantic looks at it
from ser_agent.segmenter import SegmenterOptions
from ser_agent.yaml_file import OVERRIDES, Document, KeyPath, parse_scalar, read_document

DEFAULT_TYPES: dict[str, str] = {
    "source": "microphone",
    "vad": "cascade",
    "classifier": "wav2vec2",
}
"""What a section is about that does not say its ``type``."""
DEFAULT_SINK = "mqtt"
SECRET_KEYS = {"password", "token"}
"""Keys that are not taken from the command line."""


class LogOptions(Options):
    """What the agent writes to its log (standard error)."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe messages that are written."""


class Config(Options):
    """The whole configuration. ``model()`` gives the class that knows the installed plugins' keys."""

    site: str = Field(default="home", pattern=r"^[a-z0-9_-]+$", max_length=64)
    """Name of this agent: one topic level, unique on the broker; lower-case letters, digits, ``_`` and ``-``."""
    hard_mute: bool = False
    """Keep the source closed, whatever is asked for over MQTT."""
    source: SerializeAsAny[PluginOptions]
    """Where sound comes from."""
    vad: SerializeAsAny[VadOptions]
    """What tells speech from other sound."""
    segmenter: SegmenterOptions = SegmenterOptions()
    """When an utterance begins and ends."""
    classifier: SerializeAsAny[ClassifierOptions]
    """What hears the emotion."""
    sinks: tuple[SerializeAsAny[PluginOptions], ...]
    """Where events go: any number of sinks."""
    assistant: SerializeAsAny[VoiceOptions] | None = None
    """What tells when a voice assistant speaks: what is heard meanwhile is left out. `null`: there is none."""
    web: PageOptions = PageOptions()
    """Pages to look at: the live one of this agent, and that of `ser-agent web`."""
    recording: Recording = None
    """Keep what is said as files: `off` (or null), or {folder: …, max_age_days: 7, max_megabytes: 500}."""
    stats_interval_s: float = Field(default=60.0, ge=1.0)
    """Seconds between two reports of how the agent is doing."""
    log: LogOptions = LogOptions()
    """What is logged."""

    @field_validator("site")
    @classmethod
    def _is_no_topic_of_the_fleet(cls, site: str) -> str:
        if site in RESERVED_SITES:
            raise ValueError(f"none can be called {', '.join(sorted(RESERVED_SITES))}: workers have those topics")
        return site


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration and where it came from.

    Attributes:
        config: the configuration.
        base_dir: folder that its relative paths count from.
        secret: key paths whose values must never be shown.
        file: the file it was read from; None where there was none.
    """

    config: Config
    base_dir: Path
    secret: frozenset[KeyPath] = frozenset()
    file: Path | None = None


def _options_of(port: Port) -> Any:  # noqa: ANN401 - a union type made at run time
    models = [entry.options for entry in available(port).values() if entry.options is not None]
    if len(models) == 1:
        return models[0]
    return Annotated[reduce(or_, models), Field(discriminator="type")]


def _default(port: Port, name: str) -> Any:  # noqa: ANN401 - a factory of the plugin's options
    def make() -> PluginOptions:
        entry = available(port).get(name)
        if entry is None or entry.options is None:
            raise ConfigError(f"the plugin {name!r} for {port} is not installed properly")
        return entry.options.model_validate({})

    return make


@cache
def model() -> type[Config]:
    """The configuration's model with the keys of all plugins that are installed."""
    description = {name: field.description for name, field in Config.model_fields.items()}

    def section(port: Port, name: str) -> Any:  # noqa: ANN401 - a field definition
        default = Field(default_factory=_default(port, DEFAULT_TYPES[name]), description=description[name])
        return (_options_of(port), default)

    sinks = Field(default_factory=lambda: (_default("sinks", DEFAULT_SINK)(),), description=description["sinks"])
    fields: dict[str, Any] = {
        "source": section("sources", "source"),
        "vad": section("vads", "vad"),
        "classifier": section("classifiers", "classifier"),
        "sinks": (tuple.__class_getitem__((_options_of("sinks"), ...)), sinks),
        "assistant": (
            Optional[_options_of("voices")],  # noqa: UP045 - of types that are made at run time
            Field(default=None, description=description["assistant"]),
        ),
    }
    return create_model("Config", __base__=Config, __doc__=Config.__doc__, **fields)


def load(file: Path | None = None, overrides: tuple[str, ...] = (), base_dir: Path | None = None) -> Loaded:
    """Read and check a configuration.

    Args:
        file: the YAML file; None for the defaults.
        overrides: settings of single keys such as ``sinks.0.port=18883``; they win.
        base_dir: folder that relative paths count from; by default the file's, else the current one.

    Raises:
        ConfigError: something is wrong; the message names file, line and key, one mistake a line.
    """
    document = read_document(file) if file else Document("defaults")
    for override in overrides:
        _override(document, override)
    config = validate(document)
    folder = base_dir or (file.resolve().parent if file else Path.cwd())
    return Loaded(config, folder, frozenset(document.secret), file)


def validate(document: Document) -> Config:
    """Check what a document says.

    Raises:
        ConfigError: something is wrong; one mistake a line.
    """
    for section, name in DEFAULT_TYPES.items():
        value = document.data.get(section)
        if isinstance(value, dict):
            value.setdefault("type", name)
    try:
        return model().model_validate_json(json.dumps(document.data, default=str))
    except ValidationError as error:
        raise ConfigError("\n".join(explain(error, document, model()))) from None


def _override(document: Document, override: str) -> None:
    """Set one key of a document, as ``--set KEY=VALUE`` says."""
    dotted, equals, text = override.partition("=")
    if not equals or not all(dotted.split(".")):
        raise ConfigError(f"{OVERRIDES} {override}: expected KEY=VALUE, for example sinks.0.port=18883")
    value = _plain_value(dotted, text)
    if _holds_secret(dotted.rpartition(".")[2], value):
        raise ConfigError(
            f"{OVERRIDES} {dotted}: everybody on this machine can read a command line: write a secret into the "
            "configuration, best as !secret or ${NAME}"
        )
    path: KeyPath = tuple(int(part) if part.isdecimal() else part for part in dotted.split("."))
    if path[0] == "sinks" and "sinks" not in document.data:
        document.data["sinks"] = [{"type": DEFAULT_SINK}]
    node: Any = document.data
    for here, key in enumerate(path[:-1]):
        node = _step(node, key, f"{OVERRIDES} {dotted}: {'.'.join(map(str, path[: here + 1]))}")
    last = path[-1]
    if isinstance(node, list):
        if not isinstance(last, int) or last >= len(node):
            raise ConfigError(f"{OVERRIDES} {dotted}: the list has {len(node)} items, counted from 0")
        node[last] = value
    else:
        node[str(last)] = value
    document.overridden.add(dotted)
    document.secret = {path_ for path_ in document.secret if path_ != path}


def _holds_secret(key: str, value: Any) -> bool:  # noqa: ANN401 - plain YAML data
    """Whether a value, or one of those inside it, is one that nobody should see."""
    if isinstance(value, dict):
        return any(_holds_secret(str(inner), item) for inner, item in value.items())
    if isinstance(value, list):
        return any(_holds_secret(key, item) for item in value)
    return key in SECRET_KEYS and value is not None


def _plain_value(dotted: str, text: str) -> Any:  # noqa: ANN401 - plain YAML data
    try:
        value = parse_scalar(text)
        json.dumps(value, default=str)
    except ConfigError as error:
        raise ConfigError(f"{OVERRIDES} {dotted}: {error}") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{OVERRIDES} {dotted}: not a value of a configuration: {error}") from error
    return value


def _step(node: Any, key: str | int, where: str) -> Any:  # noqa: ANN401 - plain YAML data
    if isinstance(node, list):
        if not isinstance(key, int) or key >= len(node):
            raise ConfigError(f"{where}: the list has {len(node)} items, counted from 0")
        child = node[key]
    else:
        if node.get(str(key)) is None:
            node[str(key)] = {}
        child = node[str(key)]
    if not isinstance(child, dict | list):
        raise ConfigError(f"{where}: holds a value, not keys")
    return child
