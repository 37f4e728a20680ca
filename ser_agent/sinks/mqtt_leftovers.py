"""What an agent that has got another site leaves on the broker under its old one, and clearing it away.

A topic is cleared only where ``info`` still tells that the last to use it was this agent: by now the site may be
somebody else's.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ser_agent.sinks.mqtt_rivals import instance_in
from ser_agent.sinks.mqtt_topics import STATES, Topics, cleared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.sinks.mqtt_topics import Publication
    from ser_agent.state import StateFile

log = logging.getLogger(__name__)

MOST_LEFT = 8


@dataclass(frozen=True, slots=True)
class Trace:
    """What an agent has on the broker.

    Attributes:
        site: under which.
        instance: who it was; None as long as nothing has been told.
        discovery: topic of its discovery message, if any.
    """

    site: str
    instance: str | None
    discovery: str | None


class Leftovers:
    """Remembers, for one broker and base topic, where the agent was. ``record`` may be called in any thread."""

    def __init__(self, state: StateFile, broker: str, base_topic: str, site: str, discovery: str | None) -> None:
        """Find out what may be left.

        Args:
            state: what outlives the process.
            broker: host and port.
            base_topic: first part of all topics.
            site: that of today.
            discovery: today's topic of the discovery message; None where there is none.
        """
        self._state = state
        self._section = f"mqtt {broker}/{base_topic}"
        self._base_topic = base_topic
        facts = state.read(self._section)
        last = _trace(facts.get("last"))
        left = [trace for entry in _list(facts.get("left")) if (trace := _trace(entry)) is not None]
        self._stale_discovery: str | None = None
        if last is not None and last.site != site:
            left.append(last)
        elif last is not None and last.discovery not in {None, discovery}:
            self._stale_discovery = last.discovery
        self._lock = threading.Lock()
        self._left = {trace.site: trace for trace in left if trace.site != site}
        self._last = Trace(site, None, discovery)

    def record(self, instance: str) -> None:
        """From now on the agent is here, as this instance."""
        with self._lock:
            self._last = Trace(self._last.site, instance, self._last.discovery)
            self._remember()

    @property
    def subscriptions(self) -> list[str]:
        """Topics that tell whether something is left."""
        return [Topics(self._base_topic, site).path("info") for site in self._left]

    def beginning(self) -> Iterator[Publication]:
        """What clears our own former discovery message, once."""
        if self._stale_discovery is not None:
            yield cleared(self._stale_discovery)
            self._stale_discovery = None

    def examine(self, topic: str, payload: bytes) -> list[Publication]:
        """What clears a site, where a message on its ``info`` says that it is ours to clear."""
        for trace in list(self._left.values()):
            topics = Topics(self._base_topic, trace.site)
            if topic != topics.path("info"):
                continue
            with self._lock:
                del self._left[trace.site]
                self._remember()
            if trace.instance is None or instance_in(payload) != trace.instance:
                return []
            log.info("clearing what was left under the former site %r", trace.site)
            known = [] if trace.discovery is None else [cleared(trace.discovery)]
            return [*known, *(cleared(topics.path(tail)) for tail in STATES)]
        return []

    def _remember(self) -> None:
        left = list(self._left.values())[-MOST_LEFT:]
        facts = {"last": asdict(self._last), "left": [asdict(trace) for trace in left]}
        self._state.write(self._section, facts)


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - plain JSON values
    return value if isinstance(value, list) else []


def _trace(entry: Any) -> Trace | None:  # noqa: ANN401 - plain JSON values
    """What a fact says; None where it makes no sense, since nothing is cleared on a guess."""
    if not isinstance(entry, dict) or not isinstance(entry.get("site"), str):
        return None
    instance, discovery = entry.get("instance"), entry.get("discovery")
    if not isinstance(instance, str) or not isinstance(discovery, str | None):
        return None
    return Trace(entry["site"], instance, discovery)
