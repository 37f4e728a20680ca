"""Starting the web framework, with everything off that we don't want of it."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import gradio as gr
import uvicorn
from fastapi import FastAPI

from ser_agent.errors import UnavailableError
from ser_agent.web.gate import Gate
from ser_agent.web.looks import make_head, make_theme
from ser_agent.web.page import MOST_FILES, Answers, make_page, translations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.config import Config
    from ser_agent.sinks.page_guard import Guard
    from ser_agent.web.hearing import Ear
    from ser_agent.web.uploads import Uploads

START_S: Final = 60.0
STOP_S: Final = 5.0
POLL_S: Final = 0.01
MB: Final = 10**6
FORM_BYTES: Final = 64 * 1024
"""What a form adds to the files in it."""
MOST_CONNECTIONS: Final = 64


@contextmanager
def launched(config: Config, ear: Ear, folder: Uploads, guard: Guard, address: tuple[str, int]) -> Iterator[str]:
    """Serve the page until the block ends.

    Args:
        config: the configuration.
        ear: hears.
        folder: where uploads go.
        guard: who may come in.
        address: host and port to listen on; port 0 for any that is free.

    Yields:
        The page's address.

    Raises:
        UnavailableError: the address or port cannot be had.
    """
    listener = _listen(*address)
    largest = round(config.web.largest_mb * MB)
    i18n = translations(config)
    answers = Answers(ear, folder, config.web.longest_s)
    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        make_page(answers, ear.models, i18n),
        path="/",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        max_file_size=largest,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        i18n=i18n,
        theme=make_theme(),
        head=make_head(),
    )
    gate = Gate(app, guard, folder, largest * MOST_FILES + FORM_BYTES)
    server = uvicorn.Server(
        uvicorn.Config(
            gate,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="page-server", daemon=True)
    thread.start()
    try:
        _wait_for(server, thread)
        host, port = listener.getsockname()[:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        server.should_exit = True
        thread.join(STOP_S)
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except (OSError, OverflowError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UnavailableError(f"cannot listen on {host}:{port}: {reason}") from error
    return listener


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline_s = time.monotonic() + START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline_s:
            raise UnavailableError("the page's server did not start")
        time.sleep(POLL_S)
