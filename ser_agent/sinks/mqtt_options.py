"""Keys of the MQTT sink, and what they come to: an endpoint with its secrets read and its certificates loaded."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self, TypeAlias

from pydantic import Field, SecretStr, field_validator, model_validator

from ser_agent.errors import SinkError
from ser_agent.options import Options, PluginOptions
from ser_agent.sinks.mqtt_tls import TlsOptions, cautions, existing_file, tls_context, tls_for
from ser_agent.sinks.mqtt_topics import agent_id
from ser_agent.translations import Language  # noqa: TC001 - pydantic looks at it

if TYPE_CHECKING:
    import ssl

    from ser_agent.ports import PluginContext

Transport: TypeAlias = Literal["tcp", "websockets"]
PLAIN_PORTS: Final = {"tcp": 1883, "websockets": 80}
TLS_PORTS: Final = {"tcp": 8883, "websockets": 443}


def plain_topic(topic: str) -> str:
    """A topic, as given.

    Raises:
        ValueError: it is none that can be published on and have levels added.
    """
    if not topic or topic[0] in "/$" or topic[-1] == "/" or set(topic) & set("+#\0"):
        raise ValueError("a topic has no + or #, no / at either end and no $ at its beginning")
    return topic


class DiscoveryOptions(Options):
    """Keys of what Home Assistant is told, so that it needs no configuration of its own."""

    enabled: bool = True
    """Appear in Home Assistant as a device; false withdraws it."""
    prefix: str = "homeassistant"
    """First part of the topics where Home Assistant looks for devices."""
    birth_topic: str = "homeassistant/status"
    """Topic on which Home Assistant says that it is up: then everything is told again."""
    language: Language = "en"
    """Language of the entities' names: de, en, es, fr, hi, it or pl."""

    @field_validator("prefix", "birth_topic")
    @classmethod
    def _is_a_topic(cls, topic: str) -> str:
        return plain_topic(topic)


class BrokerOptions(PluginOptions):
    """Keys of the way to a broker."""

    host: str = Field(default="localhost", min_length=1)
    """Name or address of the broker."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Port; null means 1883, encrypted 8883, over websockets 80 or 443."""
    transport: Transport = "tcp"
    """tcp or websockets."""
    path: str = Field(default="/mqtt", pattern="^/")
    """Path of the websocket."""
    tls: TlsOptions | None = None
    """Encryption: null encrypts unless the broker is on this machine; on, off, or the keys that stand below tls in
    docs/mqtt.md."""
    username: str | None = None
    """User name, where the broker wants one."""
    password: SecretStr | None = None
    """Password: write !secret or ${NAME} here rather than the password itself."""
    password_file: str | None = None
    """File whose first line is the password."""
    password_credential: str | None = Field(default=None, pattern=r"^[^/.][^/]*$")
    """Name of the systemd credential (LoadCredential=) that holds the password."""
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    """MQTT version; auto is 5, and 3.1.1 where the broker refuses that."""
    client_id: str | None = Field(default=None, min_length=1)
    """Client identifier; null means ser-agent-<site>, with a mark of the base topic where that is another one. Two
    clients with the same one throw each other out."""
    keepalive_s: int = Field(default=30, ge=1, le=65535)
    """Seconds of silence after which both sides check that the other is alive."""

    @model_validator(mode="after")
    def _has_one_password(self) -> Self:
        keys = ("password", "password_file", "password_credential")
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of {', '.join(given)}, not several")
        if given and self.username is None:
            raise ValueError(f"{given[0]} needs username")
        return self


class MqttOptions(BrokerOptions):
    """Keys of the MQTT sink."""

    type: Literal["mqtt"] = "mqtt"
    """Publish events and states to an MQTT broker."""
    base_topic: str = "ser-agent"
    """First part of every topic: <base_topic>/<site>/event and so on."""
    outbox: Literal["memory", "disk"] = "memory"
    """Where events wait for the broker: memory, or disk (the state directory), where they outlive a crash, a
    power cut and a restart of the agent."""
    max_events: int = Field(default=1000, ge=1)
    """Events kept while the broker is away; when there are more, the oldest are dropped and counted."""
    max_age_s: float = Field(default=86_400.0, gt=0.0)
    """Seconds after which an event that still waits is dropped and counted: a day."""
    hold_seconds: float = Field(default=30.0, ge=0.0)
    """The state of emotion falls back to none this long after the last event and the last speech."""
    mood_seconds: float = Field(default=300.0, gt=0.0)
    """Time constant of the mood: after so long, what was heard counts 37 % of what it did."""
    discovery: DiscoveryOptions = DiscoveryOptions()
    """What Home Assistant is told."""
    retry_max_s: float = Field(default=60.0, gt=0.0)
    """Longest wait between two attempts to connect; waits start under 1 s and are random."""

    @field_validator("base_topic")
    @classmethod
    def _is_a_topic(cls, topic: str) -> str:
        return plain_topic(topic)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A broker, and all that it takes to connect to it.

    Attributes:
        host: name or address.
        port: TCP port.
        transport: tcp or websockets.
        path: path of the websocket.
        keepalive_s: MQTT's keep-alive, seconds.
        client_id: MQTT's client identifier.
        username: user name, if any.
        password: password, if any; never shown.
        tls: context of the encryption, if any.
        tls_assumed: nobody asked for the encryption; it is there because the broker is elsewhere.
    """

    host: str
    port: int
    transport: Transport
    path: str
    keepalive_s: int
    client_id: str
    username: str | None
    password: str | None = field(repr=False)
    tls: ssl.SSLContext | None = field(repr=False)
    tls_assumed: bool = False

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"


def endpoint(options: MqttOptions, context: PluginContext) -> Endpoint:
    """Read secrets and certificates and fill in what depends on other keys.

    Raises:
        SinkError: a file is missing or useless; the message names it and its key.
    """
    return endpoint_as(agent_id(options.base_topic, context.site), options, context)


def endpoint_as(client_id: str, options: BrokerOptions, context: PluginContext) -> Endpoint:
    """The same under a client identifier, which holds where the options have none.

    Raises:
        SinkError: a file is missing or useless; the message names it and its key.
    """
    tls = tls_for(options.host, options.tls)
    port = options.port or (PLAIN_PORTS if tls is None else TLS_PORTS)[options.transport]
    return Endpoint(
        host=options.host,
        port=port,
        transport=options.transport,
        path=options.path,
        keepalive_s=options.keepalive_s,
        client_id=options.client_id or client_id,
        username=options.username,
        password=_password(options, context.base_dir),
        tls=None if tls is None else tls_context(tls, context.base_dir),
        tls_assumed=tls is not None and options.tls is None,
    )


def warnings_about(options: BrokerOptions) -> list[str]:
    """What an operator should know of the way to the broker."""
    tls = tls_for(options.host, options.tls)
    return cautions(options.host, tls, has_password=options.username is not None)


def _password(options: BrokerOptions, base_dir: Path) -> str | None:
    if options.password is not None:
        return options.password.get_secret_value()
    if options.password_file is not None:
        return _read_password(existing_file(options.password_file, base_dir, "password_file"), "password_file")
    if options.password_credential is not None:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            msg = (
                f"password_credential: there is no systemd credential {options.password_credential!r}, as "
                "CREDENTIALS_DIRECTORY is not set: does the unit have LoadCredential=?"
            )
            raise SinkError(msg)
        path = existing_file(options.password_credential, Path(folder), "password_credential")
        return _read_password(path, "password_credential")
    return None


def _read_password(path: Path, key: str) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SinkError(f"{key}: {path} cannot be read: {reason}") from error
    if not lines or not lines[0]:
        raise SinkError(f"{key}: {path} has no password in its first line")
    return lines[0]
