"""``classify --ray [ADDRESS]`` and what belongs to it: telling an address from a path that follows instead."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

OPTION = "--ray"
ANY = "any"
"""The cluster that RAY_ADDRESS names, else the one that runs here, else one that is started for this."""
NAMED = {ANY, "auto", "local"}
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}")


class RayParser(argparse.ArgumentParser):
    """Knows that ``--ray`` may go without an address, and what belongs to it."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse arguments; options that lack what they belong to are a mistake."""
        arguments = with_address(sys.argv[1:] if args is None else args)
        parsed, unknown = super().parse_known_args(arguments, namespace)
        if hasattr(parsed, "ray"):
            if parsed.out is not None and parsed.ray is None:
                self.error("argument --out: needs --ray")
            if parsed.format is not None and parsed.out is None:
                self.error("argument --format: needs --out")
        return parsed, unknown


def add_ray_options(parser: argparse.ArgumentParser) -> None:
    """Let a command be told to work on a Ray cluster."""
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        nargs="?",
        type=ray_address,
        help="on a Ray cluster: HOST:PORT, auto, local, or any (the default); FILE may then be a URI such as s3://…",
    )
    parser.add_argument("--out", metavar="FOLDER", help="with --ray: keep the rows there; goes on where it was")
    parser.add_argument("--format", choices=["jsonl", "parquet"], help="of --out (default: jsonl)")


def ray_address(text: str) -> str:
    """Check an address.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if text.startswith("ray://"):
        raise argparse.ArgumentTypeError(
            "Ray Client (ray://) is not supported: run on a machine of the cluster, or by `ray job submit`, with "
            "HOST:PORT"
        )
    if not _is_address(text):
        raise argparse.ArgumentTypeError(f"expected any, auto, local or HOST:PORT, not {text!r}")
    return text


def with_address(arguments: Sequence[str]) -> list[str]:
    """Give a ``--ray`` without an address the one that stands for any: what follows it is a path.

    Args:
        arguments: of the command line.
    """
    plain = list(arguments)
    end = plain.index("--") if "--" in plain else len(plain)
    for place in range(end):
        if plain[place] == OPTION and not (place + 1 < end and _is_meant(plain[place + 1])):
            plain[place] = f"{OPTION}={ANY}"
    return plain


def _is_meant(text: str) -> bool:
    return text.startswith("ray://") or _is_address(text)


def _is_address(text: str) -> bool:
    return text in NAMED or _HOST_AND_PORT.fullmatch(text) is not None
