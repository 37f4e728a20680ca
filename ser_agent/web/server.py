"""From a configuration to a page that is served."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ser_agent.errors import MissingExtraError, SerAgentError, UnavailableError
from ser_agent.page_options import is_loopback
from ser_agent.sinks.page_guard import Guard
from ser_agent.web.hearing import Ear
from ser_agent.web.uploads import uploads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.config import Loaded

log = logging.getLogger(__name__)

ENVIRONMENT: Final = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_RUN_HISTORY": "False",
    "GRADIO_SSR_MODE": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}
"""Nothing is told to anybody, whatever the visitor's environment says."""


@contextmanager
def serving(loaded: Loaded, host: str, port: int) -> Iterator[str]:
    """Serve the page until the block ends.

    Args:
        loaded: the configuration.
        host: address to listen on.
        port: 0 for any that is free.

    Yields:
        The page's address.

    Raises:
        MissingExtraError: the extra ``web`` is not installed.
        UnavailableError: the address or port cannot be had, or it is one that needs a token.
    """
    options = loaded.config.web
    token = None if options.token is None else options.token.get_secret_value()
    if token is None and not is_loopback(host):
        raise UnavailableError(f"{host} can be reached from elsewhere: that needs web.token in the configuration")
    ear = Ear(loaded)
    with uploads() as folder:
        os.environ.update(ENVIRONMENT | {"GRADIO_TEMP_DIR": str(folder.folder)})
        try:
            from ser_agent.web.launch import launched  # noqa: PLC0415 - an extra, and slow to import
        except ModuleNotFoundError as error:
            raise MissingExtraError("the page", "web", error.name or "gradio") from error
        guard = Guard(token, options.names)
        with launched(loaded.config, ear, folder, guard, (host, port)) as address:
            threading.Thread(target=_warm_up, args=(ear,), name="page-model", daemon=True).start()
            yield address
    ear.close()


def _warm_up(ear: Ear) -> None:
    try:
        ear.warm_up()
    except SerAgentError as error:
        log.warning("the model cannot be had yet: %s", error)  # whoever asks for it is told, too
