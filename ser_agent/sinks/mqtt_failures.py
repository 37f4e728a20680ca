"""Why connecting to a broker failed, in words for a user."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ser_agent.sinks.mqtt_options import Endpoint

ASSUMED = "a broker on another machine is spoken to encrypted unless its configuration says `tls: off`"


def explain(error: OSError, endpoint: Endpoint) -> str:
    """Why connecting failed, and what to do where the encryption was nobody's wish."""
    reason = _reason(error, encrypted=endpoint.tls is not None)
    may_be_plain = endpoint.tls_assumed and not isinstance(error, socket.gaierror)
    return f"{reason}; {ASSUMED}" if may_be_plain else reason


def _reason(error: OSError, *, encrypted: bool) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not accepted: {error.verify_message}"
        case ssl.SSLError():
            return f"no encrypted connection: {(error.reason or str(error)).replace('_', ' ').lower()}"
        case ConnectionRefusedError():
            return "connection refused: is a broker running there?"
        case socket.gaierror():
            return f"the host name cannot be resolved: {error.strerror}"
        case TimeoutError():
            return "no answer"
        case _:
            reason = os.strerror(error.errno) if error.errno else str(error)
            return f"no encrypted connection: {reason}" if encrypted else reason
