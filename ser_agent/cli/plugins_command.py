"""``ser-agent plugins``: what is installed, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from ser_agent.cli.tables import print_table
from ser_agent.plugins import PORTS, available

if TYPE_CHECKING:
    import argparse


def execute(_args: argparse.Namespace) -> int:
    """Print a table of all plugins."""
    table = Table("port", "type", "what it is", "from")
    for port in PORTS:
        for entry in available(port).values():
            summary = (
                (entry.factory.__doc__ or "").partition("\n")[0] if entry.factory else f"broken: {entry.fault}"
            )
            table.add_row(port, entry.name, summary, entry.distribution)
    print_table(table)
    return 0
