"""The live page of a running agent: a sink that shows its messages to whoever opens it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from ser_agent.commands import HealthCheck
from ser_agent.errors import SinkError
from ser_agent.page_options import PageOptions
from ser_agent.sinks.page_board import Board
from ser_agent.sinks.page_guard import Guard

if TYPE_CHECKING:
    from ser_agent.commands import CommandDesk, Reply
    from ser_agent.messages import AnyMessage
    from ser_agent.ports import PluginContext
    from ser_agent.sinks.page_server import PageServer

log = logging.getLogger(__name__)

PULSE_S: Final = 0.5
"""How often the agent's level and health are asked for while somebody looks."""


class PageSink:
    """Serves the live page from opening to closing; see ``page_server`` for how, ``page_board`` for what."""

    Options = PageOptions

    def __init__(self, options: PageOptions, context: PluginContext) -> None:
        """Prepare; see ``open``."""
        self._options = options
        self._desk = context.desk
        self._board = Board(context.site)
        self._server: PageServer | None = None
        self._pulse: Pulse | None = None

    def open(self) -> None:
        """Listen for visitors.

        Raises:
            SinkError: the address or port cannot be had.
        """
        from ser_agent.sinks.page_server import PageServer  # noqa: PLC0415 - not before a page is wanted

        if self._server is not None:
            return
        options = self._options
        guard = Guard(None if options.token is None else options.token.get_secret_value(), options.names)
        try:
            server = PageServer(options.host, options.port, board=self._board, guard=guard, desk=self._desk)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SinkError(f"web: cannot listen on {options.host}:{options.port}: {reason.lower()}") from error
        server.start()
        self._server = server
        self._pulse = Pulse(self._board, self._desk)
        log.info("live page: http://%s:%d", options.host, server.port)

    @property
    def port(self) -> int | None:
        """The port that it listens on; None where it is not open."""
        return None if self._server is None else self._server.port

    def publish(self, message: AnyMessage) -> None:
        """Show a message.

        Raises:
            SinkError: the page is not open.
        """
        if self._server is None:
            raise SinkError("the live page is not open")
        self._board.take(message)

    def flush(self, timeout_s: float) -> None:
        """Nothing waits: what is on the board is shown at once."""

    def close(self) -> None:
        """Let every visitor go. May be called more than once."""
        if self._server is None or self._pulse is None:
            return
        self._pulse.stop()
        self._server.stop()
        self._server = self._pulse = None

    def lost(self) -> int:
        """Nothing that was accepted is ever lost: it is on the board for 24 hours."""
        return 0


class Pulse:
    """Asks the agent how it is, in a thread of its own, for as long as somebody looks at the page."""

    def __init__(self, board: Board, desk: CommandDesk | None) -> None:
        """Begin.

        Args:
            board: what is told to.
            desk: where to ask; where there is none, nothing is.
        """
        self._board = board
        self._desk = desk
        self._stopping = threading.Event()
        self._answered = threading.Event()
        self._answered.set()
        self._thread = threading.Thread(target=self._beat, name="page-pulse", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stopping.wait(PULSE_S):
            if self._desk is not None and self._board.watched and self._answered.is_set():
                self._answered.clear()
                self._desk.submit(HealthCheck(), self._take)

    def _take(self, reply: Reply) -> None:
        self._answered.set()
        if reply.error is None:
            self._board.tell_vitals(dict(reply.data))
