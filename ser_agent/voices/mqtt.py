"""Assistants that tell over MQTT when they speak: by the Hermes protocol, or on a topic of their own."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field, field_validator

from ser_agent.assistant_voice import Speaking
from ser_agent.errors import SinkError, SourceError
from ser_agent.options import VoiceOptions
from ser_agent.sinks.mqtt_options import BrokerOptions, endpoint_as, plain_topic
from ser_agent.sources.hermes_names import LONGEST_RAW, possible_slugs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ser_agent.ports import PluginContext
    from ser_agent.sinks.mqtt_options import Endpoint
    from ser_agent.voices.mqtt_watch import MqttWatch

SAY: Final = "hermes/tts/say"
SAID: Final = "hermes/tts/sayFinished"
LONGEST_JSON: Final = 16_384
MOST_SAYINGS: Final = 64

_SiteId = Annotated[str, Field(min_length=1, max_length=LONGEST_RAW)]


class HermesVoiceOptions(BrokerOptions, VoiceOptions):
    """Keys of the voice of an assistant that speaks by the Hermes protocol."""

    type: Literal["hermes"] = "hermes"
    sites: Literal["all"] | tuple[_SiteId, ...] = "all"
    """Whose speech can be heard here: `all`, or a list of their siteId. The Hermes source knows that by itself."""


class TopicVoiceOptions(BrokerOptions, VoiceOptions):
    """Keys of the voice of an assistant that says on a topic whether it speaks."""

    type: Literal["mqtt"] = "mqtt"
    topic: str
    """Where it says so."""
    speaking: tuple[str, ...] = Field(default=("ON",), min_length=1)
    """What it says while it speaks; anything else means that it does not."""

    @field_validator("topic")
    @classmethod
    def _is_a_topic(cls, topic: str) -> str:
        return plain_topic(topic)


class _MqttVoice:
    """What both have in common."""

    topics: Sequence[str] = ()

    def __init__(self, options: BrokerOptions, context: PluginContext) -> None:
        self._broker = options
        self._context = context
        self._tell: Callable[[Speaking], None] = lambda _: None
        self._watch: MqttWatch | None = None

    def open(self, tell: Callable[[Speaking], None]) -> None:
        """Begin to watch; a broker that is away is waited for.

        Args:
            tell: told when the assistant begins to speak and ceases to.

        Raises:
            SourceError: a file that the options name is missing or useless.
        """
        from ser_agent.voices.mqtt_watch import MqttWatch  # noqa: PLC0415 - brings paho

        self.close()
        self._tell = tell
        broker = self._endpoint()
        self._watch = MqttWatch(broker, self._broker.protocol, self.topics, self.take, self.lose)
        self._watch.start()

    def close(self) -> None:
        """Cease to watch. May be called more than once."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def probe(self, timeout_s: float) -> str:
        """Connect once: tells whether the options work.

        Args:
            timeout_s: longest wait, seconds.

        Returns:
            What was found, for a user to read.

        Raises:
            SourceError: why it does not work.
        """
        from ser_agent.sinks.mqtt_visits import as_visitor, ask_version  # noqa: PLC0415 - brings paho

        broker = self._endpoint()
        name = f"MQTT broker {broker.address}"
        try:
            version = ask_version(as_visitor(broker), self._broker.protocol, timeout_s)
        except SinkError as error:
            raise SourceError(f"{name}: {error}") from error
        return f"{name} speaks MQTT {version}; to be listened to: {', '.join(self.topics)}"

    def _endpoint(self) -> Endpoint:
        try:
            return endpoint_as(f"ser-agent-{self._context.site}-voice", self._broker, self._context)
        except SinkError as error:
            raise SourceError(f"assistant: {error}") from error

    def take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Take a message in."""
        raise NotImplementedError

    def lose(self) -> None:
        """The broker has gone: nobody would say when the assistant ceases."""
        self._tell(Speaking(on=False, at_s=time.monotonic()))


class HermesVoice(_MqttVoice):
    """An assistant that speaks by the Hermes protocol (Rhasspy, Snips): say, sayFinished."""

    Options = HermesVoiceOptions
    topics = (SAY, SAID)

    def __init__(self, options: HermesVoiceOptions, context: PluginContext) -> None:
        super().__init__(options, context)
        self._sites = options.sites
        self._lock = threading.Lock()
        self._sayings: dict[str, set[str]] = {}

    def take(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Something is to be said at a site, or has been."""
        if retained or len(payload) > LONGEST_JSON:
            return
        site, saying = _ids(payload)
        if site is None or (self._sites != "all" and site not in self._sites):
            return
        with self._lock:
            sayings = self._sayings.setdefault(site, set())
            if topic == SAY and len(sayings) < MOST_SAYINGS:
                sayings.add(saying)
            else:
                sayings.discard(saying)
            speaks = bool(sayings)
            if not speaks or len(self._sayings) > MOST_SAYINGS:
                self._sayings.pop(site, None)
        self._tell(Speaking(on=speaks, at_s=time.monotonic(), sites=possible_slugs(site)))

    def lose(self) -> None:
        """The broker has gone: nobody would say when a saying has ended."""
        with self._lock:
            sites = list(self._sayings)
            self._sayings.clear()
        for site in sites:
            self._tell(Speaking(on=False, at_s=time.monotonic(), sites=possible_slugs(site)))


class TopicVoice(_MqttVoice):
    """An assistant that says on an MQTT topic of your choice whether it speaks."""

    Options = TopicVoiceOptions

    def __init__(self, options: TopicVoiceOptions, context: PluginContext) -> None:
        super().__init__(options, context)
        self.topics = (options.topic,)
        self._speaking = {word.encode() for word in options.speaking}

    def take(self, topic: str, payload: bytes, *, retained: bool) -> None:  # noqa: ARG002 - as the watch calls it
        """It speaks or not; what the broker has kept holds, too."""
        self._tell(Speaking(on=payload in self._speaking, at_s=time.monotonic()))


def _ids(payload: bytes) -> tuple[str | None, str]:
    """The site and the name of a saying; no site where the message makes no sense."""
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        return None, ""
    if not isinstance(fields, dict):
        return None, ""
    site, saying = fields.get("siteId", "default"), fields.get("id")
    if not isinstance(site, str) or not 0 < len(site) <= LONGEST_RAW:
        return None, ""
    return site, saying if isinstance(saying, str) and len(saying) <= LONGEST_RAW else ""
