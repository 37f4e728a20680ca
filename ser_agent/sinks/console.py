"""Events for people: one line each, with an emoji and bars."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal, NoReturn

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ser_agent.errors import SinkError
from ser_agent.labels import UNCERTAIN, Emotion
from ser_agent.messages import AnyMessage, EmotionEvent, EmotionScore, MicrophoneState
from ser_agent.options import PluginOptions
from ser_agent.sinks.stdout import discard_stdout
from ser_agent.translations import Language, emoji, friendly

if TYPE_CHECKING:
    from ser_agent.ports import PluginContext

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


class ConsoleOptions(PluginOptions):
    """Keys of the console sink."""

    type: Literal["console"] = "console"
    """Show events on the terminal."""
    language: Language = "en"
    """Language of the emotions' names: de, en, es, fr, hi, it or pl."""


class _Terminal(Console):
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


class ConsoleSink:
    """Prints events, and when the microphone goes and comes back; colours on terminals only."""

    Options = ConsoleOptions

    def __init__(self, options: ConsoleOptions, context: PluginContext) -> None:  # noqa: ARG002 - as all plugins
        """Prepare; see ``open``."""
        self._language = options.language
        self._console: Console | None = None
        self._microphone_lost = False
        self._reader_gone = False

    def open(self) -> None:
        """Find out what standard output can show."""
        self._console = _Terminal(highlight=False, soft_wrap=True)

    def publish(self, message: AnyMessage) -> None:
        """Print an event or a change of the microphone.

        Raises:
            SinkError: it could not be printed.
        """
        if self._console is None:
            raise SinkError("the console sink is not open")
        line = self._line(message, ascii_only=self._console.options.ascii_only)
        if line is None:
            return
        try:
            self._print(self._console, line)
        except OSError as error:
            raise SinkError(f"standard output cannot be written: {error.strerror}") from error

    def _line(self, message: AnyMessage, *, ascii_only: bool) -> Text | None:
        match message:
            case EmotionEvent():
                return event_line(message, self._language, ascii_only=ascii_only)
            case MicrophoneState(site=str()):
                return None  # what is told of each satellite is told of all, too
            case MicrophoneState(lost=True) if not self._microphone_lost:
                self._microphone_lost = True
                return Text("no sound arrives any more", style="bold red")
            case MicrophoneState(connected=True) if self._microphone_lost:
                self._microphone_lost = False
                return Text("sound arrives again", style="green")
            case _:
                return None

    def _print(self, console: Console, line: Text) -> None:
        if self._reader_gone:
            raise BrokenPipeError(0, "its reader has gone")
        try:
            console.print(line)
        except BrokenPipeError:
            self._reader_gone = True
            discard_stdout()
            raise

    def flush(self, timeout_s: float) -> None:
        """Nothing waits: every line is printed at once."""

    def close(self) -> None:
        """Stop printing. May be called more than once."""
        self._console = None

    def lost(self) -> int:
        """Nothing that was accepted is ever lost: what cannot be printed is refused."""
        return 0
