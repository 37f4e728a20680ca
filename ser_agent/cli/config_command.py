"""``ser-agent config``: an example, what is in force, the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_agent import config_text
from ser_agent.cli.settings import load_settings

if TYPE_CHECKING:
    import argparse


def execute(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    match args.what:
        case "example":
            print(config_text.example(), end="")
        case "schema":
            print(config_text.schema(), end="")
        case _:
            print(config_text.show(load_settings(args)), end="")
    return 0
