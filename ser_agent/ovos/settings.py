"""What the plugins' sections of ``mycroft.conf`` may say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError

from ser_agent.errors import ConfigError
from ser_agent.options import Options
from ser_agent.ports import PluginContext
from ser_agent.sinks.mqtt_options import BrokerOptions, endpoint_as

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ser_agent.sinks.mqtt_options import Endpoint

TRANSFORMER: Final = "ovos-audio-transformer-plugin-ser-agent"
BRIDGE: Final = "ovos-phal-plugin-ser-agent"
SOUND: Final = ("sample_rate", "sample_width", "channels")
THEIRS: Final = frozenset({*SOUND, "active", "enabled", "lang", "module", "priority"})
"""Keys that are OpenVoiceOS's own."""

OptionsT = TypeVar("OptionsT", bound=Options)


class AgentOptions(BrokerOptions):
    """Where an agent publishes."""

    type: Literal["agent"] = "agent"
    base_topic: str = Field(default="ser-agent", min_length=1)
    """First part of its topics."""
    site: str = Field(default="+", pattern=r"^(\+|[a-z0-9_-]+)$")
    """Which agent; `+`: any."""

    def topic(self, tail: str) -> str:
        """One of its topics, perhaps with a wildcard."""
        return f"{self.base_topic}/{self.site}/{tail}"

    def reached_as(self, client_id: str) -> Endpoint:
        """The broker, under a client identifier.

        Raises:
            SinkError: a file that the options name is missing or useless.
        """
        return endpoint_as(client_id, self, PluginContext(site="ovos", base_dir=Path.cwd()))


class TransformerOptions(Options):
    """Keys of the audio transformer."""

    classifier: Literal["process", "mqtt"] = "process"
    """Who hears the emotion: this process, or an agent whose events come over MQTT."""
    deadline_ms: int = Field(default=150, ge=0, le=5000)
    """How long the text of a command may wait for its emotion."""
    config: str | None = None
    """Configuration file of the agent (process): its classifier and threshold hold; null: the defaults."""
    agent: AgentOptions = AgentOptions()
    """The agent (mqtt)."""


class BridgeOptions(Options):
    """Keys of the bridge to the message bus."""

    agent: AgentOptions = AgentOptions()
    """The agent."""


def merged(core: Mapping[str, Any]) -> dict[str, Any]:
    """What OpenVoiceOS's configuration says of the transformer.

    It may stand in ``listener.audio_transformers``, where the listener looks whether to load it, and in the newer
    ``audio_transformers``, which wins. The sound's format is the listener's unless they say otherwise.
    """
    listener = core.get("listener") or {}
    sound = {key: listener[key] for key in SOUND if key in listener}
    older = (listener.get("audio_transformers") or {}).get(TRANSFORMER) or {}
    newer = (core.get("audio_transformers") or {}).get(TRANSFORMER) or {}
    return {**sound, **older, **newer}


def read(model: type[OptionsT], section: Mapping[str, Any], name: str) -> OptionsT:
    """Check a section.

    Args:
        model: what it may say.
        section: what it says.
        name: its name, for the message.

    Raises:
        ConfigError: something is wrong; the message names section and key.
    """
    try:
        return model.model_validate({key: value for key, value in section.items() if key not in THEIRS})
    except ValidationError as error:
        mistakes = [f"{name}: {'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
        raise ConfigError("\n".join(mistakes)) from None
