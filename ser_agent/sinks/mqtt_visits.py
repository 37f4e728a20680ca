"""Short visits to a broker, each over a connection of its own: to learn something, or to leave a word."""

from __future__ import annotations

import dataclasses
import json
import secrets
import time
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ser_agent.sinks.mqtt_client import CONNECT_TIMEOUT_S, Connection, ConnectionFailed, Version, VersionInDoubt
from ser_agent.sinks.mqtt_topics import REQUESTS, Publication, as_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ser_agent.sinks.mqtt_options import Endpoint
    from ser_agent.sinks.mqtt_topics import Topics

Wanted: TypeAlias = Literal["auto", "5", "3.1.1"]
CANDIDATES: Final[Mapping[Wanted, tuple[Version, ...]]] = {
    "auto": ("5", "3.1.1"),
    "5": ("5",),
    "3.1.1": ("3.1.1",),
}
ANSWER_S = 5.0
"""How long an agent that is alive may take to say so."""
HUSH_S = 1.0
"""What a broker keeps it sends at once: so long a silence is its end."""


def as_visitor(endpoint: Endpoint) -> Endpoint:
    """The same broker under another client identifier, so that the visit throws nobody out."""
    return dataclasses.replace(endpoint, client_id=f"{endpoint.client_id}-{secrets.token_hex(3)}")


def ask_version(endpoint: Endpoint, wanted: Wanted, timeout_s: float = CONNECT_TIMEOUT_S) -> Version:
    """Connect without a last will, learn which version of MQTT the broker speaks, and take leave again.

    It takes a connection of its own because of brokers that know only 3.1.1 (amqtt 0.12 is one): they refuse
    MQTT 5 politely, but get stuck in the last will, which MQTT 5 encodes in another way.

    Args:
        endpoint: the broker.
        wanted: the version to speak; auto tries 5 first.
        timeout_s: longest wait for all that, seconds.

    Returns:
        The version that the broker accepted.

    Raises:
        ConnectionFailed: why there is none.
    """
    deadline_s = time.monotonic() + timeout_s
    versions = list(CANDIDATES[wanted])
    while True:
        share_s = max(0.1, (deadline_s - time.monotonic()) / len(versions))
        connection = Connection(endpoint, versions.pop(0))
        try:
            connection.connect(share_s)
        except VersionInDoubt:
            if not versions:
                raise
        else:
            connection.close()
            return connection.version


def answers(endpoint: Endpoint, version: Version, topics: Topics) -> bool:
    """Whether an agent is alive that heeds commands on some topics.

    Raises:
        ConnectionFailed: that could not be found out.
    """
    token = secrets.token_hex(8)
    heard: set[object] = set()
    connection = Connection(
        endpoint, version, on_message=lambda _topic, payload, _retained: heard.add(_transaction(payload))
    )
    connection.connect()
    try:
        connection.subscribe([topics.path("response/health_check")])
        question = as_json({"transaction": token})
        connection.send(Publication(topics.path(f"{REQUESTS}health_check"), question, qos=1, retain=False))
        deadline_s = time.monotonic() + ANSWER_S
        while token not in heard and (remaining_s := deadline_s - time.monotonic()) > 0:
            connection.step(remaining_s)
            heard &= {token}
        connection.close()
    finally:
        connection.drop()
    return token in heard


def leave_word(
    endpoint: Endpoint, version: Version, publications: Sequence[Publication], timeout_s: float
) -> None:
    """Publish something of QoS 1, and return once the broker has it.

    Raises:
        ConnectionFailed: it could not be delivered, or the broker refuses it.
    """
    under_way: set[int] = set()
    refusals: list[str] = []

    def acknowledged(number: int, refusal: str | None) -> None:
        under_way.discard(number)
        if refusal is not None:
            refusals.append(refusal)

    connection = Connection(endpoint, version, on_acknowledged=acknowledged)
    connection.connect(timeout_s)
    try:
        under_way |= {connection.send(publication) for publication in publications}
        deadline_s = time.monotonic() + timeout_s
        while under_way:
            if (remaining_s := deadline_s - time.monotonic()) <= 0:
                raise ConnectionFailed("it does not acknowledge what is published")
            connection.step(remaining_s)
        connection.close()
    finally:
        connection.drop()
    if refusals:
        raise ConnectionFailed(f"it refuses what is published ({refusals[0]})")


def read_kept(endpoint: Endpoint, version: Version, topics: str, timeout_s: float) -> dict[str, bytes]:
    """Read what a broker keeps: the payloads of retained messages, by topic.

    Args:
        endpoint: the broker.
        version: of MQTT.
        topics: which ones; may have wildcards.
        timeout_s: longest wait, seconds.

    Raises:
        ConnectionFailed: there is no connection, or it was lost.
    """
    found: dict[str, bytes] = {}

    def take(topic: str, payload: bytes, retained: bool) -> None:  # noqa: FBT001 - as the client calls it
        if retained:
            found[topic] = payload

    connection = Connection(endpoint, version, on_message=take)
    connection.connect(timeout_s)
    try:
        connection.subscribe([topics])
        now_s = time.monotonic()
        deadline_s, quiet_s, known = now_s + timeout_s, now_s + HUSH_S, 0
        while now_s < min(deadline_s, quiet_s):
            connection.step(HUSH_S)
            now_s = time.monotonic()
            if len(found) > known or not connection.subscribed:
                quiet_s, known = now_s + HUSH_S, len(found)
        connection.close()
    finally:
        connection.drop()
    return found


def _transaction(payload: bytes) -> object:
    try:
        fields = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    transaction = fields.get("transaction") if isinstance(fields, dict) else None
    return transaction if isinstance(transaction, str) else None
