"""Tells Home Assistant on the local network that there is a Wyoming server."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, Final

from ser_agent.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

log = logging.getLogger(__name__)

SERVICE: Final = "_wyoming._tcp.local."
ELSEWHERE: Final = ("224.0.0.251", 5353)
"""Where multicast DNS lives: the address that would talk to it is the one to announce."""


def check_installed() -> None:
    """See whether the packages of the proxy are there.

    Raises:
        MissingExtraError: they aren't.
    """
    try:
        import wyoming.info  # noqa: F401, PLC0415 - an extra
        import zeroconf  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise MissingExtraError("the Wyoming proxy", "wyoming", error.name or "wyoming") from error


@contextlib.asynccontextmanager
async def announced(
    name: str | None, host: str, port: int, interfaces: Sequence[str] | None = None
) -> AsyncIterator[None]:
    """Be found under a name; a network that does not allow it is told, and nothing more.

    Args:
        name: unique on the network; None for not to be found.
        host: address that is listened at.
        port: TCP port.
        interfaces: addresses of the interfaces to announce on; None for all.
    """
    found = None if name is None else _address(host)
    if name is None or found is None:
        if name is not None:
            log.info("not announced: %s cannot be reached from other machines", host)
        yield
        return
    from zeroconf import InterfaceChoice  # noqa: PLC0415 - an extra
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf  # noqa: PLC0415 - an extra

    service = AsyncServiceInfo(SERVICE, f"{name}.{SERVICE}", addresses=[found], port=port, server=f"{name}.local.")
    try:
        directory = AsyncZeroconf(interfaces=InterfaceChoice.All if interfaces is None else list(interfaces))
    except OSError as error:
        log.warning("not announced: %s", error.strerror or error)
        yield
        return
    try:
        await directory.async_register_service(service, allow_name_change=True)
        log.info("announced as %s", service.name)
        yield
    finally:
        await directory.async_unregister_all_services()
        await directory.async_close()


def _address(host: str) -> bytes | None:
    """The address that others reach this machine at, packed; None where they can't."""
    try:
        given = ipaddress.ip_address(host)
    except ValueError:
        return None
    if given.is_loopback:
        return None
    if not given.is_unspecified:
        return given.packed
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
        except OSError:
            return None
        own = ipaddress.ip_address(probe.getsockname()[0])
    return None if own.is_loopback else own.packed
