"""Markdown, for the tables of the README, the report, the card and the comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table, without a line's end behind it."""
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (header, ["---"] * len(header), *rows))
