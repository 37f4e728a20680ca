"""What the console sink prints: lines with colours, an emoji and bars."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NoReturn

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ser_agent.labels import UNCERTAIN, Emotion
from ser_agent.translations import emoji, friendly

if TYPE_CHECKING:
    from ser_agent.messages import EmotionEvent, EmotionScore
    from ser_agent.translations import Language

RANKS = 3
BAR_CELLS = 8
EIGHTHS = " ▏▎▍▌▋▊▉█"
STYLES = {
    "angry": "red",
    "calm": "cyan",
    "disgust": "green",
    "fear": "magenta",
    "happy": "yellow",
    "sad": "blue",
    "surprise": "bright_yellow",
}


class Terminal(Console):
    """Standard output, with colours where it is a terminal. That its reader has gone does not end the process."""

    def __init__(self) -> None:
        super().__init__(highlight=False, soft_wrap=True)

    def on_broken_pipe(self) -> NoReturn:
        """Tell instead of ending the process, which is not for a sink to decide."""
        raise BrokenPipeError(0, "its reader has gone")


def bar(score: float, *, ascii_only: bool = False) -> str:
    """Draw a score from 0 to 1 as a bar of ``BAR_CELLS`` characters."""
    if ascii_only:
        return ("#" * round(score * BAR_CELLS)).ljust(BAR_CELLS, ".")
    full, eighths = divmod(round(score * BAR_CELLS * 8), 8)
    return (EIGHTHS[-1] * full + EIGHTHS[eighths].strip()).ljust(BAR_CELLS)


def event_line(event: EmotionEvent, language: Language = "en", *, ascii_only: bool = False) -> Text:
    """Compose an event's line: local time, emotion, the best three with their confidences, duration."""
    line = Text(f"{event.started_at.astimezone():%H:%M:%S}  ", style="dim")
    if not ascii_only:
        line.append(f"{emoji(event.emotion)} ", style="not dim")
    style = "dim italic" if event.emotion == UNCERTAIN else f"not dim bold {STYLES.get(event.emotion, '')}"
    line.append(f"{_name(event.emotion, language, ascii_only=ascii_only)} ", style=style)
    for score in event.emotions[:RANKS]:
        line.append_text(_ranked(score, language, ascii_only=ascii_only))
    line.append(f"  {event.duration_s:.1f} s")
    return line


def _ranked(score: EmotionScore, language: Language, *, ascii_only: bool) -> Text:
    text = Text("  ")
    text.append(bar(score.score, ascii_only=ascii_only), style=f"not dim {STYLES.get(score.label, '')}")
    text.append(f" {_name(score.label, language, ascii_only=ascii_only)}{score.score:>4.0%}", style="not dim")
    return text


def _name(label: str, language: Language, *, ascii_only: bool) -> str:
    """A label's name, filled up to the column's width; the bare label where the terminal can't show the name."""
    name = friendly(label, language)
    shown = label if ascii_only and not name.isascii() else name
    return shown + " " * (_column_cells(language) - cell_len(shown))


@cache
def _column_cells(language: Language) -> int:
    """Room for every name; behind an emotion a full 100 % may follow, so they have a blank more."""
    emotions = max(cell_len(friendly(label, language)) for label in Emotion)
    return max(emotions + 1, cell_len(friendly(UNCERTAIN, language)))


def microphone_line(*, lost: bool) -> Text:
    """Compose what is said when the microphone goes, and when it comes back."""
    if lost:
        return Text("no sound arrives any more", style="bold red")
    return Text("sound arrives again", style="green")
