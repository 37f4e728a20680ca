"""Linux Voice Assistant: tells over its peripheral WebSocket what it is doing."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from ser_agent.assistant_voice import Speaking
from ser_agent.backoff import Backoff
from ser_agent.errors import MissingExtraError, SourceError
from ser_agent.options import VoiceOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.sync.connection import Connection

    from ser_agent.ports import PluginContext

log = logging.getLogger(__name__)

SPEAKS: Final = frozenset({"tts_speaking"})
IS_SILENT: Final = frozenset(
    {"tts_finished", "idle", "listening", "wake_word_detected", "thinking", "pipeline_error", "disconnected"}
)
"""What it does instead; other events, of timers or the volume, may come while it speaks."""
LONGEST_MESSAGE = 65_536
CONNECT_S = 5.0
POLL_S = 0.5
RETRY_MOST_S = 15.0
STOP_S = 2.0


class LinuxVoiceAssistantOptions(VoiceOptions):
    """Keys of Linux Voice Assistant's own voice."""

    type: Literal["linux-voice-assistant"] = "linux-voice-assistant"
    uri: str = Field(default="ws://localhost:6055", pattern=r"^wss?://[^/]")
    """Its peripheral API."""


class LinuxVoiceAssistantVoice:
    """Linux Voice Assistant, by its peripheral WebSocket."""

    Options = LinuxVoiceAssistantOptions

    def __init__(self, options: LinuxVoiceAssistantOptions, context: PluginContext) -> None:  # noqa: ARG002 - the port's
        self._options = options
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, tell: Callable[[Speaking], None]) -> None:
        """Begin to watch; an assistant that is away is waited for.

        Args:
            tell: told when it begins to speak and ceases to.

        Raises:
            MissingExtraError: websockets is not installed.
        """
        _check_installed()
        self.close()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(tell, self._stopping), name="voice", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cease to watch. May be called more than once."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
            self._thread = None

    def probe(self, timeout_s: float) -> str:
        """Connect once: tells whether the options work.

        Args:
            timeout_s: longest wait, seconds.

        Returns:
            What was found, for a user to read.

        Raises:
            SourceError: why it does not work.
            MissingExtraError: websockets is not installed.
        """
        _check_installed()
        from websockets.exceptions import WebSocketException  # noqa: PLC0415 - an extra
        from websockets.sync.client import connect  # noqa: PLC0415 - an extra

        uri = self._options.uri
        try:
            with connect(uri, open_timeout=timeout_s, max_size=LONGEST_MESSAGE, proxy=None) as connection:
                event = _event(connection.recv(timeout=timeout_s))
        except (OSError, WebSocketException, ValueError) as error:
            raise SourceError(f"Linux Voice Assistant at {uri}: {error or 'no answer'}") from error
        if event is None:
            raise SourceError(f"{uri}: something else than Linux Voice Assistant answers")
        return f"Linux Voice Assistant answers at {uri}"

    def _run(self, tell: Callable[[Speaking], None], stopping: threading.Event) -> None:
        from websockets.exceptions import WebSocketException  # noqa: PLC0415 - an extra
        from websockets.sync.client import connect  # noqa: PLC0415 - an extra

        backoff = Backoff(RETRY_MOST_S)
        away = False
        while not stopping.is_set():
            try:
                with connect(
                    self._options.uri, open_timeout=CONNECT_S, max_size=LONGEST_MESSAGE, proxy=None
                ) as connection:
                    log.info("Linux Voice Assistant at %s: connected", self._options.uri)
                    away = False
                    backoff.reset()
                    _watch(connection, tell, stopping)
            except (OSError, TimeoutError, WebSocketException, ValueError) as error:
                if not away:
                    log.warning("Linux Voice Assistant at %s: %s", self._options.uri, error)
                away = True
            tell(Speaking(on=False, at_s=time.monotonic()))  # it may have ceased, and nobody would say so
            stopping.wait(0.2 + backoff.next_s())


def _check_installed() -> None:
    try:
        import websockets.sync.client  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("Linux Voice Assistant's voice", "lva", error.name or "websockets") from error


def _watch(connection: Connection, tell: Callable[[Speaking], None], stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            message = connection.recv(timeout=POLL_S)
        except TimeoutError:
            continue
        event = _event(message)
        if event in SPEAKS or event in IS_SILENT:
            tell(Speaking(on=event in SPEAKS, at_s=time.monotonic()))


def _event(message: str | bytes) -> str | None:
    """The name of an event; None for what is none."""
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError):
        return None
    event = fields.get("event") if isinstance(fields, dict) else None
    return event if isinstance(event, str) else None
