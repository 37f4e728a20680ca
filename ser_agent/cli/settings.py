"""From the command line to a configuration."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ser_agent.config import Loaded, load
from ser_agent.errors import ConfigError

if TYPE_CHECKING:
    import argparse

SOURCES = ("microphone", "stdin")


def find_config(named: str | None) -> Path | None:
    """The configuration file: the one named, else the first of the usual places that has one.

    Raises:
        ConfigError: the named one does not exist.
    """
    if named is not None:
        if not Path(named).is_file():
            raise ConfigError(f"{named}: no such configuration file")
        return Path(named)
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    usual = (home / "ser-agent" / "ser-agent.yaml", Path("/etc/ser-agent/ser-agent.yaml"))
    return next((path for path in usual if path.is_file()), None)


def load_settings(args: argparse.Namespace) -> Loaded:
    """Read the configuration that the command line asks for.

    Raises:
        ConfigError: something is wrong with it.
    """
    overrides = list(args.overrides)
    if source := getattr(args, "source", None):
        overrides.insert(0, f"source={_source(source)}")
    return load(find_config(args.config), tuple(overrides))


def _source(text: str) -> str:
    if text in SOURCES:
        return json.dumps({"type": text})
    return json.dumps({"type": "files", "paths": [str(Path(text).absolute())]})
