"""``ser-agent run``: the daemon, and the trial where there is no configuration."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ser_agent import __version__, logs, signals
from ser_agent.agent import Outcome
from ser_agent.app import Application
from ser_agent.cli.settings import load_settings
from ser_agent.errors import EX_OK, EX_RESTART
from ser_agent.systemd import Notifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ser_agent.config import Loaded

log = logging.getLogger(__name__)


def execute(args: argparse.Namespace) -> int:
    """Run the agent until it is stopped or its source ends."""
    loaded = load_settings(args)
    logs.set_up(loaded.config.log.level)
    log.info("ser-agent %s, configuration: %s", __version__, loaded.file or "none, so this is a trial")
    with ExitStack() as cleanup:
        if loaded.file is None:
            from ser_agent.trial import with_stand_ins

            loaded = with_stand_ins(loaded, cleanup, any_source=not _names_a_source(args))
        wants_console = not args.quiet and (loaded.file is None or sys.stdout.isatty())
        adapt = _with_console if wants_console else _as_it_is
        if signals.stop_is_wanted():
            return EX_OK
        notifier = Notifier()
        outcome = Application(adapt(loaded), _reloading(args, loaded.file, adapt), notifier).run()
    if outcome is not Outcome.RESTART or signals.stop_is_wanted():
        return EX_OK
    return EX_RESTART if notifier.supervised else _execute_anew()


def _execute_anew() -> int:
    """Replace this process by a new one of the same kind; a signal sent meanwhile reaches that."""
    log.info("starting again")
    sys.stdout.flush()
    with signals.blocked():
        if signals.stop_is_wanted():
            return EX_OK
        return os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - itself


def _names_a_source(args: argparse.Namespace) -> bool:
    return args.source is not None or any(override.startswith("source") for override in args.overrides)


def _reloading(
    args: argparse.Namespace, file: Path | None, adapt: Callable[[Loaded], Loaded]
) -> Callable[[], Loaded] | None:
    """What reads the configuration anew, from the same file also where that was only found; None for a trial."""
    if file is None:
        return None
    again = argparse.Namespace(**vars(args) | {"config": str(file)})
    return lambda: adapt(load_settings(again))


def _as_it_is(loaded: Loaded) -> Loaded:
    return loaded


def _with_console(loaded: Loaded) -> Loaded:
    """Add a line per event on the terminal, unless the configuration already writes there."""
    from dataclasses import replace

    from ser_agent.sinks.console import ConsoleOptions

    sinks = loaded.config.sinks
    if any(options.type == "console" or getattr(options, "path", None) == "-" for options in sinks):
        return loaded
    config = loaded.config.model_copy(update={"sinks": (*sinks, ConsoleOptions())})
    return replace(loaded, config=config)
