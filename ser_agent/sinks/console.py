"""Events for people: one line each, with an emoji and bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ser_agent.errors import SinkError
from ser_agent.messages import AnyMessage, EmotionEvent, MicrophoneState
from ser_agent.options import PluginOptions
from ser_agent.sinks.stdout import discard_stdout
from ser_agent.translations import Language  # noqa: TC001 - pydantic looks at it

if TYPE_CHECKING:
    from rich.text import Text

    from ser_agent.ports import PluginContext
    from ser_agent.sinks.console_lines import Terminal


class ConsoleOptions(PluginOptions):
    """Keys of the console sink."""

    type: Literal["console"] = "console"
    """Show events on the terminal."""
    language: Language = "en"
    """Language of the emotions' names: de, en, es, fr, hi, it or pl."""


class ConsoleSink:
    """Prints events, and when the microphone goes and comes back; colours on terminals only."""

    Options = ConsoleOptions

    def __init__(self, options: ConsoleOptions, context: PluginContext) -> None:  # noqa: ARG002 - as all plugins
        """Prepare; see ``open``."""
        self._language = options.language
        self._console: Terminal | None = None
        self._microphone_lost = False
        self._reader_gone = False

    def open(self) -> None:
        """Find out what standard output can show."""
        from ser_agent.sinks.console_lines import Terminal  # noqa: PLC0415 - brings rich: 4 MB, and most agents have no terminal

        self._console = Terminal()

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
        from ser_agent.sinks.console_lines import event_line, microphone_line  # noqa: PLC0415 - as in ``open``

        match message:
            case EmotionEvent():
                return event_line(message, self._language, ascii_only=ascii_only)
            case MicrophoneState(site=str()):
                return None  # what is told of each satellite is told of all, too
            case MicrophoneState(lost=True) if not self._microphone_lost:
                self._microphone_lost = True
                return microphone_line(lost=True)
            case MicrophoneState(connected=True) if self._microphone_lost:
                self._microphone_lost = False
                return microphone_line(lost=False)
            case _:
                return None

    def _print(self, console: Terminal, line: Text) -> None:
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
