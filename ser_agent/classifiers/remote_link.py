"""The connection over which a satellite asks workers, in a thread of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ser_agent.errors import SinkError
from ser_agent.fleet_fields import WireError
from ser_agent.fleet_wire import CONTENT_TYPE, decode_presence, decode_reply
from ser_agent.sinks.mqtt_client import CONNECT_TIMEOUT_S, STEP_S
from ser_agent.sinks.mqtt_thread import BrokerThread
from ser_agent.sinks.mqtt_topics import Publication
from ser_agent.sinks.mqtt_work import Delivery, Headers, WorkConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.backoff import Backoff
    from ser_agent.classifiers.remote_desk import Desk
    from ser_agent.fleet_wire import Ask, FleetTopics
    from ser_agent.sinks.mqtt_options import Endpoint

log = logging.getLogger(__name__)

FAREWELL_S: Final = 0.5
OVERHEAD_BYTES: Final = 1024
"""What a packet has beside the sound, at most."""


class RemoteLink(BrokerThread):
    """Sends what is due and takes what is answered, whatever the broker does in between.

    Attributes:
        fault: what the matter is at the moment; None where nothing is.
    """

    def __init__(
        self,
        desk: Desk,
        topics: FleetTopics,
        site: str,
        endpoint: Callable[[], Endpoint],
        backoff: Backoff,
    ) -> None:
        """Prepare.

        Args:
            desk: the books of what is asked.
            topics: of the fleet.
            site: whose answers these are.
            endpoint: gives the broker, with secrets and certificates read anew for each attempt.
            backoff: how long to wait between two attempts.
        """
        super().__init__(
            "remote-classifier", "remote classifier", backoff, ends_within_s=FAREWELL_S + CONNECT_TIMEOUT_S
        )
        self._desk = desk
        self._topics = topics
        self._answers = topics.answers(site)
        self._endpoint = endpoint
        self.fault: str | None = None
        self._under_way: dict[int, str] = {}
        self._unheard: set[int] = set()

    def _tell(self, reason: str) -> None:
        self.fault = reason
        super()._tell(reason)

    def _fail(self, failure: SinkError) -> None:
        super()._fail(failure)
        self.fault = str(failure)

    def _go_down(self) -> None:
        self._desk.disconnected()
        super()._go_down()

    def _serve(self) -> None:
        endpoint = self._endpoint()
        connection = WorkConnection(endpoint, on_delivery=self._deliver, on_acknowledged=self._acknowledged)
        connection.on_unheard = self._unheard.add
        self._under_way.clear()
        self._unheard.clear()
        try:
            connection.connect()
            self._come_up(
                f"connected to the broker {endpoint.address}",
                f"does another client use the identifier {endpoint.client_id!r}, too?",
            )
            self.fault = None
            self._desk.connected()
            connection.subscribe([self._answers, self._topics.all_workers])
            while not self._stopping.is_set():
                self._send(connection)
                is_full = len(self._under_way) >= connection.window
                connection.step(STEP_S if is_full else min(STEP_S, self._desk.next_s()), wake=self._bell.out)
                self._bell.hush()
                self._forgive()
            connection.close(FAREWELL_S)
        except SinkError as failure:
            raise SinkError(f"broker {endpoint.address}: {failure}") from failure
        finally:
            connection.drop()

    def _send(self, connection: WorkConnection) -> None:
        for ask in self._desk.due(connection.window - len(self._under_way)):
            if len(ask.payload) + OVERHEAD_BYTES > connection.longest_packet:
                self._tell(f"the broker takes at most {connection.longest_packet} bytes, too few for an utterance")
                self._desk.refused(ask.id)
                continue
            publication = Publication(self._topics.utterances(ask.site), ask.payload, qos=1, retain=False)
            self._under_way[connection.send_with(publication, _headers(ask))] = ask.id

    def _acknowledged(self, number: int, refusal: str | None) -> None:
        utterance_id = self._under_way.pop(number, None)
        if utterance_id is None:
            return
        if refusal is not None:
            self._tell(f"the broker refuses what is said of this site ({refusal})")
            self._desk.refused(utterance_id)
            return
        self._desk.arrived(utterance_id, heard=number not in self._unheard)
        self._unheard.discard(number)

    def _deliver(self, delivery: Delivery) -> None:
        try:
            self._take(delivery)
        except WireError as error:
            self._desk.garbage()
            log.debug("remote classifier: passed over what came on %s: %s", delivery.topic, error)
        delivery.acknowledge()

    def _take(self, delivery: Delivery) -> None:
        worker = self._topics.worker_of(delivery.topic)
        if worker is not None:
            presence = decode_presence(delivery.payload)
            if presence is not None and presence.worker != worker:
                raise WireError("a presence of another worker than its topic says")
            self._desk.take_presence(worker, presence)
        elif delivery.topic == self._answers and not delivery.retained:
            reply = decode_reply(delivery.payload)
            if delivery.headers.correlation not in {b"", reply.id.encode()}:
                raise WireError("an answer under another id than its correlation data")
            self._desk.take_reply(reply)
        else:
            raise WireError("nothing that was asked for")


def _headers(ask: Ask) -> Headers:
    return Headers(
        content_type=CONTENT_TYPE,
        response_topic=ask.response_topic,
        correlation=ask.id.encode(),
        expires_s=ask.expires_in_s,
        user={"try": str(ask.attempt), "schema": "1"},
    )
