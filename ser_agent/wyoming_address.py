"""Where a Wyoming server is: ``tcp://host:port``."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Wyoming server is.

    Attributes:
        host: name or address.
        port: TCP port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"tcp://[{self.host}]:{self.port}" if ":" in self.host else f"tcp://{self.host}:{self.port}"


def address(uri: str) -> Address:
    """Read ``tcp://host:port``.

    Raises:
        ValueError: it is none.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.scheme != "tcp" or parts.path.strip("/"):
        raise ValueError(f"expected tcp://HOST:PORT, not {uri!r}")
    return Address(host, port)


def explain(error: OSError) -> str:
    """Why there is no connection, in words for a user."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return (error.strerror or str(error)).lower()
    return os.strerror(error.errno).lower()
