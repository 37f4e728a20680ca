from __future__ import annotations

import asyncio
import logging
import secrets

import pytest
from support.mqtt import PATIENCE_S
from zeroconf import ServiceBrowser, ServiceListener, Zeroconf
from zeroconf.asyncio import AsyncZeroconf

from ser_agent.assistants.announcement import SERVICE, announced

LOOPBACK = "127.0.0.1"


class Finder(ServiceListener):
    """Notes who is there, as Home Assistant's discovery does."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.there: dict[str, int | None] = {}
        self.changed = asyncio.Event()

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        info = zc.get_service_info(type_, name, timeout=round(1000 * PATIENCE_S))
        self.there[name] = None if info is None else info.port
        self._loop.call_soon_threadsafe(self.changed.set)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        self.there.pop(name, None)
        self._loop.call_soon_threadsafe(self.changed.set)

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Nothing changes."""


async def until(finder: Finder, name: str, *, there: bool) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (name in finder.there) != there:
            finder.changed.clear()
            await finder.changed.wait()


async def find(name: str) -> int | None:
    directory = AsyncZeroconf(interfaces=[LOOPBACK])
    finder = Finder(asyncio.get_running_loop())
    browser = ServiceBrowser(directory.zeroconf, SERVICE, finder)
    try:
        async with announced(name, "192.0.2.7", 10350, interfaces=[LOOPBACK]):
            await until(finder, f"{name}.{SERVICE}", there=True)
            port = finder.there[f"{name}.{SERVICE}"]
        await until(finder, f"{name}.{SERVICE}", there=False)
    finally:
        await asyncio.to_thread(browser.cancel)
        await directory.async_close()
    return port


def test_the_proxy_is_found_while_it_runs() -> None:
    name = f"ser-agent-{secrets.token_hex(4)}"  # nobody else's, also where tests run side by side
    assert asyncio.run(find(name)) == 10350


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_what_others_cannot_reach_is_not_announced(host: str, caplog: pytest.LogCaptureFixture) -> None:
    async def announce() -> None:
        async with announced("ser-agent-attic", host, 10350):
            pass

    with caplog.at_level(logging.INFO):
        asyncio.run(announce())
    assert f"not announced: {host} cannot be reached from other machines" in caplog.text
