"""Many satellites of a voice assistant as one source: what they send by the Hermes protocol, over MQTT."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ser_agent.audio import Lull
from ser_agent.buffer import Closed
from ser_agent.errors import SinkError, SourceError
from ser_agent.fleet_wire import RESERVED_SITES
from ser_agent.sinks.mqtt_options import BrokerOptions, endpoint_as, warnings_about
from ser_agent.sources.hermes_inflow import Inflow
from ser_agent.sources.hermes_names import LONGEST_RAW, SiteNames
from ser_agent.sources.hermes_satellites import Patience, Satellites

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ser_agent.audio import Sound
    from ser_agent.ports import PluginContext
    from ser_agent.sources.hermes_link import HermesLink

TICK_S = 0.25
"""How often is looked who has fallen silent."""

_SiteId = Annotated[str, Field(min_length=1, max_length=LONGEST_RAW, pattern=r"^[^+#/\x00]+$")]


class HermesOptions(BrokerOptions):
    """Keys of the Hermes source."""

    type: Literal["hermes"] = "hermes"
    sites: Literal["all"] | tuple[_SiteId, ...] = "all"
    """Which satellites to hear: `all`, or a list of their siteId."""
    max_sites: int = Field(default=64, ge=1, le=100)
    """Satellites at a time; for one more, the one that has been away the longest is forgotten."""
    silent_after_s: float = Field(default=2.0, ge=0.2, le=60.0)
    """Without sound for so long, what is being said at a satellite counts as ended; sound that comes half as late
    is taken to follow a gap."""
    away_after_s: float = Field(default=60.0, ge=1.0)
    """Without sound for so long, a satellite counts as switched off."""
    buffer_s: float = Field(default=2.0, ge=0.5, le=10.0)
    """How long a satellite's sound waits at most for the detector; then the oldest is dropped, and counted."""


class HermesSource:
    """Satellites that send their sound by the Hermes protocol (Rhasspy, Snips), each under a site of its own."""

    Options = HermesOptions
    live = True

    def __init__(self, options: HermesOptions, context: PluginContext) -> None:
        self._options = options
        self._context = context
        names = SiteNames(context.state, {context.site} | RESERVED_SITES)
        patience = Patience(options.silent_after_s, options.away_after_s)
        self._satellites = Satellites(names, options.max_sites, patience)
        self._inflow = Inflow(options.buffer_s)
        self._shed_before = 0
        self._lock = threading.Lock()
        self._link: HermesLink | None = None

    def open(self) -> None:
        """Connect to the broker.

        Raises:
            SourceError: it cannot be had; the message names it and the reason.
        """
        from ser_agent.sources.hermes_link import HermesLink  # noqa: PLC0415 - brings paho

        self.close()
        try:
            broker = endpoint_as(f"ser-agent-{self._context.site}-hermes", self._options, self._context)
        except SinkError as error:
            raise SourceError(f"Hermes source: {error}") from error
        sites = ("+",) if self._options.sites == "all" else self._options.sites
        self._shed_before += self._inflow.shed
        self._inflow = inflow = Inflow(self._options.buffer_s)
        link = HermesLink(broker, self._options.protocol, sites, take=inflow.put, fail=inflow.fail)
        link.start()
        with self._lock:
            self._link = link

    def frames(self) -> Iterator[Sound]:
        """Yield the satellites' sound as it comes, in turns, and tell who falls silent.

        Raises:
            SourceLost: the broker has gone.
        """
        yield Lull("waiting")
        next_look_s = time.monotonic() + TICK_S
        while True:
            try:
                arrival = self._inflow.take(TICK_S)
            except Closed:
                return
            if arrival is not None:
                yield from self._satellites.hear(arrival)
            now_s = time.monotonic()
            if now_s >= next_look_s:
                next_look_s = now_s + TICK_S
                yield from self._satellites.lulls(now_s)
                if arrival is None:
                    yield Lull("waiting")

    def close(self) -> None:
        """Take leave of the broker. May be called from any thread, more than once."""
        self._inflow.close()
        with self._lock:
            link, self._link = self._link, None
        if link is not None:
            link.stop()

    def counts(self) -> Mapping[str, int]:
        """What an operator may want to know: satellites heard, and messages that came to nothing."""
        shed = self._shed_before + self._inflow.shed
        return {"sites": self._satellites.heard, "shed": shed, **self._satellites.counts}

    def warnings(self) -> list[str]:
        """What an operator should know before anything is opened."""
        return warnings_about(self._options)
