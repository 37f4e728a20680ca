"""Several files at a time: a table to look at, and the same as CSV."""

from __future__ import annotations

import base64
import csv
import io
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from ser_agent.web.drawing import TOP, draw_table, sign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ser_agent.web.drawing import Words
    from ser_agent.web.hearing import Report

COLUMNS: Final = (
    "file",
    "duration_s",
    "utterances",
    "emotion",
    "confidence",
    *(f"{what}_{rank}" for rank in ("2", "3") for what in ("emotion", "confidence")),
    "remarks",
)
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take the beginning of a formula for."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One file, and what came of it.

    Attributes:
        name: of the file.
        report: what was heard; None where nothing could be.
        error: why not.
    """

    name: str
    report: Report | None = None
    error: str = ""


def as_csv(rows: Sequence[Row]) -> str:
    """The table as CSV: UTF-8, one header line, labels rather than names, so that programs can read it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_harmless(cell) for cell in _cells(row)])
    return text.getvalue()


def _cells(row: Row) -> list[str]:
    report = row.report
    if report is None:
        return [row.name, "", "", "", "", "", "", "", "", row.error]
    ranks = [cell for score in report.scores[1:TOP] for cell in (score.label, f"{score.score:.4f}")]
    best = f"{report.scores[0].score:.4f}" if report.scores else ""
    first = [row.name, f"{report.duration_s:.2f}", str(len(report.parts)), report.emotion or "", best]
    return [*first, *ranks, *[""] * (4 - len(ranks)), " ".join(report.reasons)]


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULAS) else cell


def draw_batch(words: Words, rows: Sequence[Row]) -> str:
    """The table, and a link that saves it."""
    heads = ("file", "emotion", "confidence", "next", "duration", "utterances", "note")
    body = "".join(_draw_row(words, row) for row in rows)
    table = draw_table(words("tab_many"), [words(f"column_{head}") for head in heads], body)
    content = base64.b64encode(b"\xef\xbb\xbf" + as_csv(rows).encode()).decode()
    return (
        f'<div class="sa-report">{table}<a class="sa-save" download="emotions.csv" '
        f'href="data:text/csv;charset=utf-8;base64,{content}">{words("save_csv")}</a></div>'
    )


def _draw_row(words: Words, row: Row) -> str:
    report = row.report
    if report is None:
        return f'<tr><td>{escape(row.name)}</td><td colspan="6" class="sa-bad">{escape(row.error)}</td></tr>'
    others = ", ".join(f"{words.name(score.label)} {score.score:.0%}" for score in report.scores[1:TOP])
    best = f"{report.scores[0].score:.0%}" if report.scores else ""
    return (
        f"<tr><td>{escape(row.name)}</td><td>{sign(report.emotion)} {words.name(report.emotion)}</td>"
        f'<td class="sa-number">{best}</td><td>{others}</td><td class="sa-number">{report.duration_s:.1f} s</td>'
        f'<td class="sa-number">{len(report.parts)}</td>'
        f"<td>{words.remarks(report.reasons)}</td></tr>"
    )
