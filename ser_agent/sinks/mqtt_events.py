"""Where the events of an MQTT sink wait: in memory, or on disk too, and which of the latter are still welcome."""

from __future__ import annotations

import json
import logging
import sqlite3
from typing import TYPE_CHECKING, Final

from ser_agent.errors import SinkError
from ser_agent.messages import SCHEMA
from ser_agent.sinks.mqtt_topics import Publication
from ser_agent.sinks.outbox import Kept, Outbox
from ser_agent.sinks.outbox_clock import Clocks, boot_id
from ser_agent.sinks.outbox_database import CORRUPT, count_waiting
from ser_agent.sinks.outbox_journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

    from ser_agent.ports import PluginContext
    from ser_agent.sinks.mqtt_options import MqttOptions
    from ser_agent.sinks.outbox_database import Row

log = logging.getLogger(__name__)

FOREIGN: Final = "of another site"


def outbox_path(context: PluginContext) -> Path | None:
    """The file of a sink's outbox, beside the state file; None where nothing outlives the process."""
    if context.state.path is None:
        return None
    name = context.name or "mqtt"
    return context.state.path.with_suffix(f".{name}.outbox.db")


def make_outbox(
    options: MqttOptions, context: PluginContext, clocks: Clocks | None = None
) -> tuple[Outbox[Publication], Journal | None]:
    """Where events wait, with those that wait already, and what keeps them on disk, if anything does.

    Args:
        options: of the sink.
        context: of the sink.
        clocks: the machine's; None for the real ones.
    """
    clocks = clocks or Clocks(boot_id())
    path = outbox_path(context) if options.outbox == "disk" else None
    if path is None:
        if options.outbox == "disk":
            log.error("outbox: disk: there is no state to keep it with: events are kept in memory alone")
        return Outbox(options.max_events, max_age_s=options.max_age_s, clock=clocks.boot_s), None
    owner = f"{options.base_topic}/{context.site}"
    journal = Journal(path, owner, clocks, lambda row: objection(row, owner, options.base_topic))
    journal.open()
    waiting = [
        Kept(row.number, Publication(row.topic, row.payload, qos=1, retain=False), row.accepted_s)
        for row in journal.restored
    ]
    outbox = Outbox(
        options.max_events, max_age_s=options.max_age_s, clock=clocks.boot_s, ledger=journal, restored=waiting
    )
    outbox.count_losses(journal.losses)
    journal.restored.clear()
    if waiting:
        log.info("outbox %s: %d events wait from before", path, len(waiting))
    return outbox, journal


def objection(row: Row, owner: str, base_topic: str) -> str | None:
    """Why a row must not be delivered; None where it may.

    Args:
        row: as it was read.
        owner: base topic and site of the agent.
        base_topic: the first part of every topic.
    """
    if row.owner != owner or not (row.topic.startswith(f"{base_topic}/") and row.topic.endswith("/event")):
        return FOREIGN
    try:
        fields = json.loads(row.payload)
    except (ValueError, RecursionError):
        return CORRUPT
    known = isinstance(fields, dict) and fields.get("schema") == SCHEMA and isinstance(fields.get("id"), str)
    return None if known else CORRUPT


def report(options: MqttOptions, context: PluginContext) -> str | None:
    """How many events wait on disk, for a user to read; None where they are kept in memory.

    Raises:
        SinkError: that cannot be read.
    """
    path = outbox_path(context)
    if options.outbox == "memory" or path is None:
        return None
    try:
        return f"{count_waiting(path)} events wait in {path}"
    except (OSError, sqlite3.Error) as error:
        raise SinkError(f"outbox {path} cannot be read: {error}") from error
