"""What stands before the web framework: who may come in, which of its addresses are open, how much may be sent."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from ser_agent.sinks.page_guard import HEADERS
from ser_agent.sinks.page_server import WRONG_TOKEN_S, documents

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from ser_agent.sinks.page_guard import Guard
    from ser_agent.web.uploads import Uploads

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

OPEN: Final = frozenset({"/", "/config", "/theme.css", "/favicon.ico", "/robots.txt", "/manifest.json"})
OPEN_FOLDERS: Final = ("/assets/", "/static/", "/svelte/")
API: Final = "/gradio_api/"
OPEN_API: Final = (
    "startup-events",
    "heartbeat/",
    "upload",
    "upload_progress",
    "queue/",
    "file=",
    "info",
    "theme.css",
)
"""Of the framework's own interface, which can do more, such as fetching addresses and editing its code."""
UPLOAD: Final = "/gradio_api/upload"
LARGEST_CALL: Final = 256 * 1024
MOST_WAITING: Final = 256 * 2**20
"""So many bytes may lie in the uploads' folder; more are refused until they have been heard."""
CONTENT_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; form-action 'self'; base-uri 'self'; frame-ancestors 'self'"
)
"""The framework's page needs its own inline scripts; nothing comes from, or goes to, anywhere else."""
LOGIN_FILES: Final = ("/palette.css", "/page.css", "/login.js", "/icon.svg", "/texts.json")


class Gate:
    """ASGI middleware."""

    def __init__(self, app: Callable[..., Awaitable[None]], guard: Guard, uploads: Uploads, largest: int) -> None:
        """Prepare.

        Args:
            app: the framework's application.
            guard: knows who may come in.
            uploads: the folder of what was sent.
            largest: bytes of one upload.
        """
        self._app = app
        self._guard = guard
        self._uploads = uploads
        self._largest = largest
        self._documents = documents()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._admit(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path, method = scope["path"], scope["method"]
        changes = method not in {"GET", "HEAD"}
        if not self._guard.is_our_host(headers.get("host")):
            await _refuse(send, 421, "this page has another name: see web.names")
        elif changes and not self._guard.is_same_origin(headers):
            await _refuse(send, 403, "asked for by a page of somebody else")
        elif not self._guard.knows(headers):
            await self._ask_for_token(path, method, headers, receive, send)
        elif not is_open(path):
            await _refuse(send, 404, "there is no such page")
        elif changes and (objection := self._objection(path, headers)):
            await _refuse(send, 413, objection)
        else:
            await self._app(scope, receive, _with_headers(send))

    def _objection(self, path: str, headers: Mapping[str, str]) -> str | None:
        """What speaks against what is sent."""
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return "its length is not told"
        if int(length) > (self._largest if path == UPLOAD else LARGEST_CALL):
            return "too large"
        if path == UPLOAD and self._uploads.size > MOST_WAITING:
            return "too much is waiting to be heard: try again in a moment"
        return None

    async def _ask_for_token(
        self, path: str, method: str, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> None:
        if path == "/login" and method == "POST":
            await self._log_in(headers, receive, send)
        elif path == "/":
            await _answer(send, 200, *self._documents["/login.html"])
        elif path in LOGIN_FILES:
            await _answer(send, 200, *self._documents[path])
        else:
            await _refuse(send, 401, "the token is needed")

    async def _log_in(self, headers: Mapping[str, str], receive: Receive, send: Send) -> None:
        is_json = headers.get("content-type", "").startswith("application/json")
        told = await _json_of(receive) if is_json else None
        if isinstance(told, dict) and self._guard.is_token(str(told.get("token", ""))):
            await _answer(send, 200, "application/json", b'{"error":null}', {"Set-Cookie": self._guard.cookie()})
            return
        await asyncio.sleep(WRONG_TOKEN_S)
        await _refuse(send, 401, "that is not the token")


def is_open(path: str) -> bool:
    """Whether an address of the framework may be asked for."""
    if path.startswith(API):
        return path.removeprefix(API).startswith(OPEN_API)
    return path in OPEN or path.startswith(OPEN_FOLDERS)


async def _json_of(receive: Receive) -> object:
    body = b""
    more = True
    while more and len(body) <= LARGEST_CALL:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_encoded(HEADERS)]
        await send(message)

    return sending


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    every = {**headers, "Content-Security-Policy": CONTENT_POLICY}
    return [(name.lower().encode(), value.encode()) for name, value in every.items()]


async def _refuse(send: Send, status: int, reason: str) -> None:
    await _answer(send, status, "application/json", json.dumps({"error": reason, "detail": reason}).encode())


async def _answer(
    send: Send, status: int, kind: str, content: bytes, headers: Mapping[str, str] | None = None
) -> None:
    told = {"Content-Type": kind, "Content-Length": str(len(content)), "Cache-Control": "no-store"}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": _encoded({**HEADERS, **told, **(headers or {})}),
        }
    )
    await send({"type": "http.response.body", "body": content})
