"""Events and states over MQTT, for Home Assistant and whatever else listens."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ser_agent.backoff import Backoff
from ser_agent.errors import SinkError
from ser_agent.messages import AgentInfo, AnyMessage
from ser_agent.sinks.homeassistant import Discovery, discovery_topic, is_of_a_satellite
from ser_agent.sinks.mqtt_commands import CommandGate
from ser_agent.sinks.mqtt_display import Display
from ser_agent.sinks.mqtt_events import make_outbox, report
from ser_agent.sinks.mqtt_inbox import Inbox
from ser_agent.sinks.mqtt_leftovers import Leftovers
from ser_agent.sinks.mqtt_mailbox import Mailbox
from ser_agent.sinks.mqtt_options import MqttOptions, endpoint, warnings_about
from ser_agent.sinks.mqtt_rivals import Rivals
from ser_agent.sinks.mqtt_satellites import Household, SatelliteMemory
from ser_agent.sinks.mqtt_topics import Topics, cleared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.ports import PluginContext
    from ser_agent.sinks.mqtt_courier import Courier
    from ser_agent.sinks.mqtt_options import Endpoint
    from ser_agent.sinks.mqtt_states import StateBoard
    from ser_agent.sinks.mqtt_topics import Publication

log = logging.getLogger(__name__)


class MqttSink:
    """Publishes to one broker, from now until closed, whatever the broker does in between.

    Events (QoS 1) wait in a bounded outbox until the broker has acknowledged them: an outage or a restart of
    the broker loses none, keeps their order, and may deliver one twice, with the same ``id``. When the outbox is
    full the oldest event is dropped and counted, and so is one that is too old. With ``outbox: disk`` they outlive
    this process. States are told by their latest value only; after every
    reconnection all of them are told anew.
    """

    Options = MqttOptions

    def __init__(self, options: MqttOptions, context: PluginContext) -> None:
        """Prepare; see ``open``."""
        self._options = options
        self._context = context
        self._topics = Topics(options.base_topic, context.site)
        wanted = options.discovery
        self._discovery = Discovery(self._topics, wanted.prefix, wanted.language) if wanted.enabled else None
        self._leftovers: Leftovers | None = None
        self._mailbox: Mailbox | None = None
        self._courier: Courier | None = None

    def open(self) -> None:
        """Begin to connect in the background; absent brokers, refused passwords, wrong certificates are retried.

        Raises:
            SinkError: a file that the options name is missing or useless.
        """
        from ser_agent.sinks.mqtt_courier import Courier  # noqa: PLC0415 - brings paho

        if self._courier is not None:
            return
        broker = endpoint(self._options, self._context)
        name = broker.address
        for warning in self.warnings():
            log.warning("MQTT broker %s: %s", name, warning)
        memory = SatelliteMemory(self._context.state, name, self._options.base_topic)
        household = Household(self._display(self._topics, self._discovery), self._satellite, memory)
        self._mailbox = Mailbox(self._topics, household, *make_outbox(self._options, self._context))
        self._leftovers = self._find_leftovers(name)
        self._courier = Courier(
            self._mailbox,
            self._make_inbox(self._mailbox, self._leftovers),
            endpoint=lambda: endpoint(self._options, self._context),
            broker=name,
            will=self._topics.availability(online=False),
            version=self._options.protocol,
            backoff=Backoff(self._options.retry_max_s),
        )
        self._courier.start()

    def _display(self, topics: Topics, discovery: Discovery | None, board: StateBoard | None = None) -> Display:
        hold_s, mood_s = self._options.hold_seconds, self._options.mood_seconds
        return Display(topics, discovery, hold_s=hold_s, mood_s=mood_s, board=board)

    def _satellite(self, site: str, board: StateBoard) -> Display:
        topics, wanted = Topics(self._options.base_topic, site), self._options.discovery
        discovery = Discovery(topics, wanted.prefix, wanted.language, via=self._topics)
        if not wanted.enabled:
            board.put(cleared(discovery.topic))
        return self._display(topics, discovery if wanted.enabled else None, board)

    def warnings(self) -> list[str]:
        """What an operator should know before anything is opened."""
        return warnings_about(self._options)

    def _find_leftovers(self, broker: str) -> Leftovers:
        discovery = None if self._discovery is None else self._discovery.topic
        return Leftovers(
            self._context.state, broker, self._options.base_topic, self._context.site, discovery=discovery
        )

    def _make_inbox(self, mailbox: Mailbox, leftovers: Leftovers) -> Inbox:
        desk = self._context.desk
        return Inbox(
            self._topics,
            mailbox,
            None if desk is None else CommandGate(self._topics, desk, self._respond),
            None if self._discovery is None else self._options.discovery.birth_topic,
            leftovers,
            Rivals(self._context.site),
        )

    def _respond(self, publication: Publication) -> None:
        if self._mailbox is not None and self._courier is not None:
            self._mailbox.note(publication)
            self._courier.wake()

    def publish(self, message: AnyMessage) -> None:
        """Accept a message and return at once.

        Raises:
            SinkError: the sink is not open.
        """
        if self._mailbox is None or self._courier is None:
            raise SinkError("the MQTT sink is not open")
        if isinstance(message, AgentInfo) and self._leftovers is not None:
            self._leftovers.record(message.instance)
        self._mailbox.post(message)
        self._courier.wake()

    def flush(self, timeout_s: float) -> None:
        """Wait until the broker has acknowledged everything accepted, or the time is up."""
        if self._mailbox is not None:
            self._mailbox.wait_settled(timeout_s)

    def close(self) -> None:
        """Say ``offline``, disconnect, and count as lost what is left and not on disk; may be called again."""
        if self._mailbox is None or self._courier is None:
            return
        self._mailbox.close()
        self._courier.stop()
        self._courier = None
        left = self._mailbox.waiting
        lost = self._mailbox.abandon()
        if lost:
            log.warning("%d events could not be delivered to the MQTT broker before the end", lost)
        if left > lost:
            log.info("%d events wait on disk for the next start", left - lost)

    def lost(self) -> int:
        """How many accepted events were lost since ``open``: dropped from a full outbox, refused, or left over."""
        return 0 if self._mailbox is None else self._mailbox.lost

    def waiting(self) -> int:
        """How many events wait for the broker, or for its acknowledgement."""
        return 0 if self._mailbox is None else self._mailbox.waiting

    def report(self) -> str | None:
        """What waits on disk, of an agent that may be running, for a user to read; None where nothing can.

        Raises:
            SinkError: that cannot be read.
        """
        return report(self._options, self._context)

    @property
    def connected(self) -> bool:
        """Whether the broker is there."""
        return self._courier is not None and self._courier.connection is not None

    def probe(self, timeout_s: float) -> str:
        """Connect once under a client identifier of its own, and take leave: tells whether the options work.

        Args:
            timeout_s: longest wait, seconds.

        Returns:
            What was found, for a user to read.

        Raises:
            SinkError: why it does not work, with host and port.
        """
        from ser_agent.sinks.mqtt_visits import as_visitor, ask_version  # noqa: PLC0415 - brings paho

        broker = endpoint(self._options, self._context)
        with _naming(broker):
            version = ask_version(as_visitor(broker), self._options.protocol, timeout_s)
        return f"MQTT broker {broker.address} speaks MQTT {version}"

    def withdraw(self, timeout_s: float) -> str:
        """Have Home Assistant forget the device, and those of the satellites that the agent hears.

        Args:
            timeout_s: longest wait, seconds.

        Returns:
            What was done, for a user to read.

        Raises:
            SinkError: why it could not be done, with host and port.
        """
        from ser_agent.sinks.mqtt_visits import (  # noqa: PLC0415 - brings paho
            as_visitor,
            ask_version,
            leave_word,
            read_kept,
        )

        prefix = self._options.discovery.prefix
        broker = endpoint(self._options, self._context)
        visitor = as_visitor(broker)
        with _naming(broker):
            version = ask_version(visitor, self._options.protocol, timeout_s)
            kept = read_kept(visitor, version, f"{prefix}/device/+/config", timeout_s)
            theirs = sorted(topic for topic, payload in kept.items() if is_of_a_satellite(payload, self._topics))
            withdrawn = [discovery_topic(prefix, self._topics), *theirs]
            leave_word(visitor, version, [cleared(topic) for topic in withdrawn], timeout_s)
        return f"MQTT broker {broker.address}: nothing is kept on {', '.join(withdrawn)} any more"


@contextmanager
def _naming(broker: Endpoint) -> Iterator[None]:
    """Name the broker in what goes wrong with it."""
    try:
        yield
    except SinkError as error:
        raise SinkError(f"MQTT broker {broker.address}: {error}") from error
