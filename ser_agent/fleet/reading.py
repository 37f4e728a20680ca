"""From a message to a question, or to nothing: what comes over the broker may be anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ser_agent.fleet_wire import CONTENT_TYPE, Ask, is_id

if TYPE_CHECKING:
    from ser_agent.fleet_wire import FleetTopics
    from ser_agent.sinks.mqtt_work import Delivery, Headers

SCHEMA: Final = "1"
MOST_TRIES: Final = 9
LAST_S: Final = 1
"""For how long the answer is of use where that is not said: mosquitto 2.0.11 leaves it out in the last second."""


def read_ask(delivery: Delivery, topics: FleetTopics) -> Ask | None:
    """The question that a message is.

    Args:
        delivery: the message.
        topics: the fleet's.

    Returns:
        None where nobody could or should be answered: another topic, no id, a message that the broker had kept, or
        an answer wanted anywhere but at the very site that asks, which would make a worker write what a satellite
        may not.
    """
    headers = delivery.headers
    site = topics.site_of(delivery.topic)
    name = headers.correlation.decode("ascii", "replace")
    if site is None or delivery.retained or not is_id(name):
        return None
    if headers.response_topic != topics.answers(site):
        return None
    expires_s = LAST_S if headers.expires_s is None else headers.expires_s
    return Ask(name, site, _attempt(headers), headers.response_topic, expires_s, delivery.payload)


def is_sound(headers: Headers) -> bool:
    """Whether the payload claims to be what this version of the contract knows."""
    return headers.content_type == CONTENT_TYPE and headers.user.get("schema", SCHEMA) == SCHEMA


def _attempt(headers: Headers) -> int:
    text = headers.user.get("try", "1")
    is_plain = text.isascii() and text.isdecimal() and len(text) == 1
    return min(max(int(text), 1), MOST_TRIES) if is_plain else 1
