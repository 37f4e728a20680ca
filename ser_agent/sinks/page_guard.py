"""Who may look at a page and press its buttons. Pure: headers in, answers out."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COOKIE: Final = "ser_agent_page"
COOKIE_S: Final = 90 * 24 * 3600
_PURPOSE: Final = b"ser-agent live page, session 1"
CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=()",
}
"""What every answer says beside its content policy."""


class Guard:
    """Answers for one page.

    Against pages of others that have a visitor's browser speak to this one: the name in ``Host`` must be ours (an
    address is no name, so it can't be made to point here by somebody's DNS), and what changes something must come
    from a page of the same origin.
    """

    def __init__(self, token: str | None, names: Iterable[str] = ()) -> None:
        """Prepare.

        Args:
            token: what visitors have to know; None where nobody has to.
            names: host names beside this machine's.
        """
        own = socket.gethostname().lower()
        self._names = {"localhost", own, f"{own.split('.')[0]}.local", *(name.lower() for name in names)}
        self._token = token

    def is_our_host(self, host: str | None) -> bool:
        """Whether a request's ``Host`` header names this page."""
        name = _host_name(host)
        return name is not None and (name in self._names or _is_address(name))

    def is_same_origin(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something comes from our own page, or from no page at all.

        Args:
            headers: of the request; names as they are usually written, or all lower case.
        """
        site = _header(headers, "Sec-Fetch-Site")
        if site not in {None, "same-origin", "none"}:
            return False
        origin = _header(headers, "Origin")
        if origin is None:
            return True
        return urlsplit(origin).netloc.lower() == (_header(headers, "Host") or "").lower()

    def is_token(self, text: str) -> bool:
        """Whether somebody knows the token."""
        return self._token is not None and hmac.compare_digest(text.encode(), self._token.encode())

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request comes from somebody who has told the token, or need not."""
        if self._token is None:
            return True
        given = _header(headers, "Authorization") or ""
        if given.startswith("Bearer ") and self.is_token(given.removeprefix("Bearer ")):
            return True
        try:
            morsel = SimpleCookie(_header(headers, "Cookie") or "").get(COOKIE)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(morsel.value.encode(), self._session().encode())

    def cookie(self) -> str:
        """The ``Set-Cookie`` header for somebody who knows the token; it doesn't hold the token itself."""
        return f"{COOKIE}={self._session()}; Path=/; HttpOnly; SameSite=Strict; Max-Age={COOKIE_S}"

    def _session(self) -> str:
        return hmac.new((self._token or "").encode(), _PURPOSE, hashlib.sha256).hexdigest()


def _header(headers: Mapping[str, str], name: str) -> str | None:
    value = headers.get(name)
    return headers.get(name.lower()) if value is None else value


def _host_name(host: str | None) -> str | None:
    """The name in a ``Host`` header, without its port."""
    try:
        parts = urlsplit(f"//{host or ''}")
        parts.port  # noqa: B018 - raises where it is none
    except ValueError:
        return None
    plain = host is not None and not set(host) & set("/?#@\\ ")
    return parts.hostname if plain else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
