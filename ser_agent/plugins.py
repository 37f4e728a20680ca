"""Finding plugins by entry point. The built-in ones register there too: none is privileged."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, get_origin

from ser_agent.errors import PluginError
from ser_agent.options import ClassifierOptions, PluginOptions, VadOptions, VoiceOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

Port: TypeAlias = Literal["sources", "vads", "classifiers", "sinks", "voices"]
PORTS: tuple[Port, ...] = get_args(Port)
_BASES: Mapping[str, type[PluginOptions]] = {
    "vads": VadOptions,
    "classifiers": ClassifierOptions,
    "voices": VoiceOptions,
}
"""What the options of these ports' plugins must be: the agent itself reads some of their keys."""


@dataclass(frozen=True, slots=True)
class PluginEntry:
    """One registered plugin.

    Attributes:
        port: which port it serves.
        name: what ``type:`` calls it.
        distribution: which installed distribution brings it, with its version.
        factory: the plugin's class; None where it could not be loaded.
        options: model of its keys; None where it could not be loaded.
        fault: why it could not be loaded.
    """

    port: Port
    name: str
    distribution: str
    factory: Any | None
    options: type[PluginOptions] | None
    fault: str | None = None


def _load(port: Port, entry: EntryPoint) -> PluginEntry:
    distribution = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown"
    try:
        factory = entry.load()
        options = factory.Options
        fault = _fault_of(options, entry.name, _BASES.get(port, PluginOptions))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may fail in any way; the others must go on
        fault = f"{type(error).__name__}: {error}"
    if fault is not None:
        log.warning("plugin %s of port %s (%s) cannot be loaded: %s", entry.name, port, distribution, fault)
        return PluginEntry(port, entry.name, distribution, None, None, fault)
    return PluginEntry(port, entry.name, distribution, factory, options)


def _fault_of(options: object, name: str, base: type[PluginOptions]) -> str | None:
    """What would keep the configuration's model from taking these options in, for all plugins."""
    if not (isinstance(options, type) and issubclass(options, base)):
        return f"its Options is not a subclass of ser_agent.options.{base.__name__}"
    kind = options.model_fields["type"]
    if get_origin(kind.annotation) is not Literal or get_args(kind.annotation) != (name,) or kind.default != name:
        return f'its Options does not say: type: Literal["{name}"] = "{name}"'
    return None


@cache
def available(port: Port) -> Mapping[str, PluginEntry]:
    """All plugins registered for a port, by name, the broken ones with their fault."""
    found: dict[str, PluginEntry] = {}
    for entry in sorted(entry_points(group=f"ser_agent.{port}"), key=lambda entry: entry.name):
        plugin = _load(port, entry)
        if entry.name in found:
            first = found[entry.name].distribution
            log.warning("plugin %s of port %s: %s brings it, not %s", entry.name, port, first, plugin.distribution)
            continue
        found[entry.name] = plugin
    return found


def factory_for(port: Port, options: PluginOptions) -> Any:  # noqa: ANN401 - a class with the port's operations
    """The class that serves the given options.

    Raises:
        PluginError: no such plugin is registered, or it cannot be loaded.
    """
    entry = available(port).get(options.type)
    if entry is None or entry.factory is None:
        reason = entry.fault if entry else f"known: {', '.join(available(port))}"
        msg = f"no plugin {options.type!r} for {port}: {reason}"
        raise PluginError(msg)
    return entry.factory
