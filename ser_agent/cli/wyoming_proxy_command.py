"""``ser-agent wyoming-proxy``: in front of a speech-to-text server, so that its transcripts tell the emotion."""

from __future__ import annotations

import asyncio
import logging
import queue
from dataclasses import replace
from typing import TYPE_CHECKING

from ser_agent import __version__, logs
from ser_agent.app import Workshop, assemble
from ser_agent.assistants.announcement import check_installed
from ser_agent.assistants.conversation import Conversation
from ser_agent.assistants.relay import Manner
from ser_agent.assistants.wyoming_proxy import WyomingProxy
from ser_agent.cli.settings import load_settings
from ser_agent.commands import CommandDesk
from ser_agent.errors import EX_OK
from ser_agent.pipeline.stage import Requested
from ser_agent.state import StateFile, state_file, state_folder
from ser_agent.systemd import Notifier

if TYPE_CHECKING:
    import argparse

    from ser_agent.config import Loaded
    from ser_agent.parts import Parts
    from ser_agent.pipeline.stage import Occurrences

log = logging.getLogger(__name__)

SOURCE_NAME = "wyoming-proxy"


def execute(args: argparse.Namespace) -> int:
    """Relay until stopped."""
    loaded = load_settings(args)
    logs.set_up(loaded.config.log.level)
    log.info("ser-agent %s, configuration: %s", __version__, loaded.file or "none, so the defaults")
    check_installed()
    parts, occurrences = _make_parts(loaded)
    conversation = Conversation(parts, occurrences)
    manner = Manner(args.max_delay_ms / 1000, args.in_text)
    name = f"ser-agent-{loaded.config.site}" if args.announce else None
    try:
        conversation.start()
        proxy = WyomingProxy(conversation, args.listen, args.upstream, manner, name)
        asyncio.run(proxy.serve(Notifier()))
    finally:
        conversation.stop()
        parts.classifier.close()
        parts.state.close()
    tally = proxy.tally
    log.info("transcripts: %d with an emotion, %d too early, %d without", tally.told, tally.late, tally.plain)
    return EX_OK


def _make_parts(loaded: Loaded) -> tuple[Parts, Occurrences]:
    """What an agent is made of, and where its commands come in. The source stays closed."""
    occurrences: Occurrences = queue.SimpleQueue()
    desk = CommandDesk(lambda request: occurrences.put(Requested(request)))
    state = StateFile() if loaded.file is None else state_file(loaded.file, state_folder())
    parts = assemble(loaded, Workshop(loaded).classifier(), state, desk)
    return replace(parts, source_name=SOURCE_NAME), occurrences
