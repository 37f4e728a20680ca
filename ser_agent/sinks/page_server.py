"""The live page over HTTP: a few fixed files, the news as server-sent events, two buttons. Standard library alone.

A thread for each connection, a bounded number of them; nothing here touches the file system by a name that came
from outside.
"""

from __future__ import annotations

import json
import logging
import queue
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, Final

from ser_agent import __version__
from ser_agent.buffer import Closed
from ser_agent.commands import Reply, SetListening, SetThreshold
from ser_agent.page_texts import for_browser
from ser_agent.palette import stylesheet
from ser_agent.sinks.page_board import Board, Viewer
from ser_agent.sinks.page_guard import CONTENT_POLICY, HEADERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ser_agent.commands import Command, CommandDesk
    from ser_agent.sinks.page_guard import Guard

log = logging.getLogger(__name__)

IDLE_S: Final = 20.0
"""A connection that says nothing for so long is closed."""
SIGN_OF_LIFE_S: Final = 5.0
"""A viewer hears something at least this often, so that one that has gone is noticed."""
POLL_S: Final = 0.1
"""How often the server looks whether it is to end."""
MOST_CONNECTIONS: Final = 48
MOST_VIEWERS: Final = 24
LONGEST_BODY: Final = 1024
ANSWER_S: Final = 10.0
"""How long the agent may take to obey."""
WRONG_TOKEN_S: Final = 1.0
"""What a wrong token costs, so that nobody tries many."""

Document = tuple[str, bytes]
"""Content type and content."""


def documents() -> Mapping[str, Document]:
    """Everything that is not news, by path."""
    folder = files("ser_agent.sinks").joinpath("page_files")
    html, css, js = "text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8"
    kinds = {
        "index.html": html,
        "login.html": html,
        "page.css": css,
        "page.js": js,
        "charts.js": js,
        "login.js": js,
        "icon.svg": "image/svg+xml",
    }
    found = {f"/{name}": (kind, folder.joinpath(name).read_bytes()) for name, kind in kinds.items()}
    found["/palette.css"] = (css, stylesheet().encode())
    found["/texts.json"] = ("application/json", json.dumps(for_browser(), ensure_ascii=False).encode())
    return found


class PageServer(ThreadingMixIn, TCPServer):
    """Serves one board until closed."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, *, board: Board, guard: Guard, desk: CommandDesk | None) -> None:
        """Listen; nothing is answered before ``start``.

        Args:
            host: address or name to listen on.
            port: 0 for any that is free.
            board: what to show.
            guard: who may look at it.
            desk: where commands go; None where no agent runs.

        Raises:
            OSError: it cannot listen there.
        """
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        self.address_family = family
        super().__init__((str(address[0]), port), Handler)
        self.board = board
        self.guard = guard
        self.desk = desk
        self.documents = documents()
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._thread = threading.Thread(target=self.serve_forever, args=(POLL_S,), name="page-server", daemon=True)

    def start(self) -> None:
        """Answer from now on, in threads of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Answer nobody any more, and let every viewer go."""
        self.board.close()
        self.shutdown()
        self.server_close()
        self._thread.join(IDLE_S)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        number: int = self.server_address[1]
        return number

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's signature
        """Take a connection where there is room for one more."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - likewise
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - likewise
        """What goes wrong with one visitor is nobody else's trouble."""
        log.debug("page: a connection ended badly: %r", sys.exception())

    def obey(self, command: Command) -> Reply:
        """Have the agent do something, and wait for what it says."""
        if self.desk is None:
            return Reply(error="no agent runs")
        answers: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self.desk.submit(command, answers.put)
        try:
            return answers.get(timeout=ANSWER_S)
        except queue.Empty:
            return Reply(error="the agent did not answer in time")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version = f"ser-agent/{__version__}"
    sys_version = ""
    timeout = IDLE_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's signature
        """Tell of requests at the debug level; none holds a secret."""
        log.debug("page: %s %s", self.address_string(), format % args)

    def do_GET(self) -> None:
        """A document, a snapshot, or the news."""
        if not self._is_welcome():
            return
        path = self.path.partition("?")[0]
        known = self.server.guard.knows(self.headers)  # type: ignore[arg-type]
        if path == "/":
            self._send_document(self.server.documents["/index.html" if known else "/login.html"])
        elif path in {"/snapshot", "/stream"}:
            if not known:
                self._send_json(HTTPStatus.UNAUTHORIZED, {"error": "the token is needed"})
            elif path == "/stream":
                self._stream()
            else:
                self._send_json(HTTPStatus.OK, self.server.board.snapshot())
        elif path in self.server.documents and not path.endswith(".html"):
            self._send_document(self.server.documents[path])
        else:
            self._send_json(HTTPStatus.NOT_FOUND, {"error": "there is no such page"})

    def do_POST(self) -> None:
        """A token, or a button."""
        body = self._body()
        if not self._is_welcome():
            return
        if not self.server.guard.is_same_origin(self.headers):  # type: ignore[arg-type]
            self._send_json(HTTPStatus.FORBIDDEN, {"error": "asked for by a page of somebody else"})
        elif body is None:
            self._send_json(HTTPStatus.BAD_REQUEST, {"error": "expected a small JSON object"})
        elif self.path == "/login":
            self._log_in(body)
        elif not self.server.guard.knows(self.headers):  # type: ignore[arg-type]
            self._send_json(HTTPStatus.UNAUTHORIZED, {"error": "the token is needed"})
        else:
            self._press(self.path, body)

    def _press(self, path: str, body: dict[str, Any]) -> None:
        on, value = body.get("on"), body.get("value")
        if path == "/listening" and isinstance(on, bool):
            reply = self.server.obey(SetListening(on=on))
        elif path == "/threshold" and isinstance(value, int | float) and 0.0 <= value <= 1.0:
            reply = self.server.obey(SetThreshold(round(float(value), 4)))
        else:
            self._send_json(HTTPStatus.BAD_REQUEST, {"error": "there is no such button, or not with that value"})
            return
        status = HTTPStatus.OK if reply.error is None else HTTPStatus.CONFLICT
        self._send_json(status, {"error": reply.error})

    def _log_in(self, body: dict[str, Any]) -> None:
        if self.server.guard.is_token(str(body.get("token", ""))):
            self._send_json(HTTPStatus.OK, {"error": None}, {"Set-Cookie": self.server.guard.cookie()})
            return
        log.warning("page: %s gave a wrong token", self.address_string())
        threading.Event().wait(WRONG_TOKEN_S)
        self._send_json(HTTPStatus.UNAUTHORIZED, {"error": "that is not the token"})

    def _is_welcome(self) -> bool:
        """Whether the request names this page; where not, it is answered."""
        if self.server.guard.is_our_host(self.headers.get("Host")):
            return True
        self._send_json(HTTPStatus.MISDIRECTED_REQUEST, {"error": "this page has another name: see web.names"})
        return False

    def _body(self) -> dict[str, Any] | None:
        """The request's JSON object; None where it holds none, is too long, or does not say what it is."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            self.close_connection = True
            return None
        text = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/json":
            return None
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return body if isinstance(body, dict) else None

    def _stream(self) -> None:
        viewer = Viewer()
        board = self.server.board
        if board.watched >= MOST_VIEWERS:
            self._send_json(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "too many look at this page"})
            return
        self.close_connection = True
        self._send_head(HTTPStatus.OK, "text/event-stream", None, {"Connection": "close"})
        board.admit(viewer)
        try:
            self._tell_the_news(viewer)
        except (Closed, OSError):
            pass  # the agent stops, or nobody looks any more
        finally:
            board.dismiss(viewer)

    def _tell_the_news(self, viewer: Viewer) -> None:
        self.wfile.write(b"retry: 2000\n\n")
        while True:
            if viewer.behind:
                viewer.behind = False
                viewer.news.drain()
                self._send_news("snapshot", self.server.board.snapshot())
            news = viewer.news.get(SIGN_OF_LIFE_S)
            if news is None:
                self.wfile.write(b": still here\n\n")
            elif not viewer.behind:
                self._send_news(*news)

    def _send_news(self, kind: str, data: object) -> None:
        self.wfile.write(f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode())

    def _send_document(self, document: Document) -> None:
        kind, content = document
        self._send_head(HTTPStatus.OK, kind, len(content), {})
        self.wfile.write(content)

    def _send_json(self, status: HTTPStatus, data: object, headers: Mapping[str, str] | None = None) -> None:
        content = json.dumps(data, separators=(",", ":")).encode()
        self._send_head(status, "application/json", len(content), headers or {})
        self.wfile.write(content)

    def _send_head(self, status: HTTPStatus, kind: str, length: int | None, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", CONTENT_POLICY)
        for name, value in (*HEADERS.items(), *headers.items()):
            self.send_header(name, value)
        self.end_headers()
