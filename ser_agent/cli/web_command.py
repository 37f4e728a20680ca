"""``ser-agent web``: the page on which to upload or record, until it is stopped."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from ser_agent import logs
from ser_agent.cli.settings import load_settings
from ser_agent.errors import EX_OK

if TYPE_CHECKING:
    import argparse


def execute(args: argparse.Namespace) -> int:
    """Serve the page until SIGINT or SIGTERM comes."""
    from ser_agent.web.server import serving

    loaded = load_settings(args)
    logs.set_up(loaded.config.log.level)
    ends = (signal.SIGINT, signal.SIGTERM)
    signal.pthread_sigmask(
        signal.SIG_BLOCK, ends
    )  # all threads of the server inherit it: the wait below hears them
    with serving(loaded, args.host, args.port) as address:
        print(f"open {address}", flush=True)
        signal.sigwait(ends)
    return EX_OK
