"""``ser-agent discovery remove``: Home Assistant is to forget the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_agent.app import Workshop
from ser_agent.cli.settings import load_settings
from ser_agent.errors import EX_OK

if TYPE_CHECKING:
    import argparse

TIMEOUT_S = 10.0


def execute(args: argparse.Namespace) -> int:
    """Withdraw what the sinks of the configuration have told Home Assistant."""
    sinks = Workshop(load_settings(args)).sinks().values()
    # Sinks with an operation ``withdraw(timeout_s)`` have something to withdraw.
    withdrawals = [withdraw for sink in sinks if (withdraw := getattr(sink, "withdraw", None)) is not None]
    for withdraw in withdrawals:
        print(withdraw(TIMEOUT_S), flush=True)
    if not withdrawals:
        print("no sink of the configuration appears in Home Assistant")
    return EX_OK
