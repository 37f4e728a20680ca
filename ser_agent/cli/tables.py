"""Tables on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from rich.console import Console

if TYPE_CHECKING:
    from rich.table import Table

UNBOUNDED_COLUMNS = 10_000


class _Output(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the command line, which ends with 0."""
        raise BrokenPipeError(0, "its reader has gone")


def print_table(table: Table) -> None:
    """Print a table; nothing in its cells is markup. Where no terminal sets the width, no cell is wrapped."""
    console = _Output(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = UNBOUNDED_COLUMNS
    console.print(table)
