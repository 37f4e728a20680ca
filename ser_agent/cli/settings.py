"""From the command line to a configuration."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ser_agent.config import Loaded, load
from ser_agent.errors import ConfigError
from ser_agent.text import is_writable

if TYPE_CHECKING:
    import argparse

SOURCES = ("microphone", "stdin")
FILE = "ser-agent/ser-agent.yaml"
SYSTEM_FOLDER = Path("/etc")


def find_config(named: str | None) -> Path | None:
    """The configuration file: the one named, else the first of the usual places that has one for this user.

    Raises:
        ConfigError: the named one does not exist.
    """
    if named is not None:
        path = Path(named)
        if path.is_dir():
            raise ConfigError(f"{named}: is a folder, not a configuration file")
        if not path.exists():
            raise ConfigError(f"{named}: no such configuration file")
        return path
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return next((path for path in (home / FILE, SYSTEM_FOLDER / FILE) if _is_there(path)), None)


def _is_there(path: Path) -> bool:
    """Whether there is a file that this user may read; a service's is often not everybody's to read."""
    try:
        with path.open("rb"):
            return True
    except FileNotFoundError:
        return False
    except OSError as error:
        print(f"ser-agent: passed over {path}: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return False


def load_settings(args: argparse.Namespace) -> Loaded:
    """Read the configuration that the command line asks for.

    Raises:
        ConfigError: something is wrong with it.
    """
    overrides = list(args.overrides)
    source = getattr(args, "source", None)
    if source is not None:
        overrides.insert(0, f"source={_source(source)}")
    return load(find_config(args.config), tuple(overrides))


def _source(text: str) -> str:
    if text in SOURCES:
        return json.dumps({"type": text})
    path = str(Path(text).absolute())
    if not text or not is_writable(path):
        raise ConfigError(f"--source {text!r}: expected microphone, stdin, or the name of a file in UTF-8")
    return json.dumps({"type": "files", "paths": [path]})
