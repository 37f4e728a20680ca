"""Events and states over MQTT, for Home Assistant and whatever else listens."""

from __future__ import annotations

import dataclasses
import logging
import secrets
from typing import TYPE_CHECKING

from ser_agent.backoff import Backoff
from ser_agent.errors import SinkError
from ser_agent.sinks.mqtt_mailbox import Mailbox
from ser_agent.sinks.mqtt_options import MqttOptions, endpoint
from ser_agent.sinks.mqtt_topics import Topics

if TYPE_CHECKING:
    from ser_agent.messages import AnyMessage
    from ser_agent.ports import PluginContext
    from ser_agent.sinks.mqtt_courier import Courier

log = logging.getLogger(__name__)


class MqttSink:
    """Publishes to one broker, from now until closed, whatever the broker does in between.

    Events (QoS 1) wait in a bounded outbox until the broker has acknowledged them: an outage or a restart of
    the broker loses none, keeps their order, and may deliver one twice, with the same ``id``. When the outbox is
    full the oldest event is dropped and counted. States are told by their latest value only; after every
    reconnection all of them are told anew.
    """

    Options = MqttOptions

    def __init__(self, options: MqttOptions, context: PluginContext) -> None:
        """Prepare; see ``open``."""
        self._options = options
        self._context = context
        self._topics = Topics(options.base_topic, context.site)
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
        self._mailbox = Mailbox(self._topics, max_events=self._options.outbox, hold_s=self._options.hold_seconds)
        self._courier = Courier(
            self._mailbox,
            endpoint=lambda: endpoint(self._options, self._context),
            broker=f"{broker.host}:{broker.port}",
            will=self._topics.availability(online=False),
            version=self._options.protocol,
            backoff=Backoff(self._options.retry_max_s),
        )
        self._courier.start()

    def publish(self, message: AnyMessage) -> None:
        """Accept a message and return at once.

        Raises:
            SinkError: the sink is not open.
        """
        if self._mailbox is None or self._courier is None:
            raise SinkError("the MQTT sink is not open")
        self._mailbox.post(message)
        self._courier.wake()

    def flush(self, timeout_s: float) -> None:
        """Wait until the broker has acknowledged everything accepted, or the time is up."""
        if self._mailbox is not None:
            self._mailbox.wait_settled(timeout_s)

    def close(self) -> None:
        """Say ``offline``, disconnect, and count as lost what is left. May be called more than once."""
        if self._mailbox is None or self._courier is None:
            return
        self._mailbox.close()
        self._courier.stop()
        self._courier = None
        if left := self._mailbox.abandon():
            log.warning("%d events could not be delivered to the MQTT broker before the end", left)

    def lost(self) -> int:
        """How many accepted events were lost since ``open``: dropped from a full outbox, refused, or left over."""
        return 0 if self._mailbox is None else self._mailbox.lost

    def probe(self, timeout_s: float) -> str:
        """Connect once under a client identifier of its own, and take leave: tells whether the options work.

        Args:
            timeout_s: longest wait, seconds.

        Returns:
            What was found, for a user to read.

        Raises:
            SinkError: why it does not work, with host and port.
        """
        from ser_agent.sinks.mqtt_courier import ask_version  # noqa: PLC0415 - brings paho

        broker = endpoint(self._options, self._context)
        visitor = dataclasses.replace(broker, client_id=f"{broker.client_id}-check-{secrets.token_hex(3)}")
        try:
            version = ask_version(visitor, self._options.protocol, timeout_s)
        except SinkError as error:
            raise SinkError(f"MQTT broker {broker.host}:{broker.port}: {error}") from error
        return f"MQTT broker {broker.host}:{broker.port} speaks MQTT {version}"
