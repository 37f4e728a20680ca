"""``ser-agent devices``: what can be listened to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from ser_agent.cli.tables import print_table
from ser_agent.sources.devices import list_devices

if TYPE_CHECKING:
    import argparse


def execute(_args: argparse.Namespace) -> int:
    """Print a table of the input devices."""
    devices = list_devices()
    if not devices:
        print("no microphone: this machine has no input device")
        return 0
    table = Table("index", "name", "channels", "rates (Hz)", "default")
    for device in devices:
        rates = ", ".join(str(rate) for rate in device.rates)
        table.add_row(
            str(device.index), device.name, str(device.channels), rates, "default" if device.is_default else ""
        )
    print_table(table)
    return 0
