"""The options of ``ser-agent worker``. Imports nothing heavy."""

from __future__ import annotations

import argparse
import re
from typing import Final

MOST_BATCH: Final = 256
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Add the keys that say what place a worker has in the fleet."""
    parser.add_argument(
        "--group", type=_name, default="workers", help="who shares the work (default: %(default)s)"
    )
    parser.add_argument(
        "--name", type=_name, help="unique on the broker (default: the host's name and four hex digits)"
    )
    parser.add_argument(
        "--batch", metavar="N", type=_batch, default=8, help="utterances at a time, at most (default: %(default)s)"
    )


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected up to 64 of A-Z a-z 0-9 _ . -, not {text!r}")
    return text


def _batch(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_BATCH:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {MOST_BATCH}, not {text!r}")
    return int(text)
