"""A real Chromium, whose microphone hears a file and which reaches nothing but this machine."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

PATIENCE_MS = 60_000
QUIET = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


def chromium() -> str:
    """Its program; the test skips where there is none."""
    pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is not installed")
    return program


@contextmanager
def browsing(microphone: Path | None = None, **settings: Any) -> Iterator[Page]:  # noqa: ANN401 - playwright's
    """An open page. It fails at the end if a script of it did, or if it asked for anything elsewhere.

    Args:
        microphone: what it hears: mono, 48 kHz, WAV.
        settings: of the browser's context, such as ``color_scheme`` and ``locale``.
    """
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - an optional package

    program = chromium()
    hearing = (
        ()
        if microphone is None
        else (
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}%noloop",
        )
    )
    trouble: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*QUIET, *hearing], timeout=PATIENCE_MS)
        try:
            context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **settings})
            if microphone is not None:
                context.grant_permissions(["microphone"])
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.set_default_navigation_timeout(PATIENCE_MS)
            page.on("pageerror", lambda error: trouble.append(f"script: {error}"))
            page.on("request", lambda request: trouble.extend(_elsewhere(request.url)))
            yield page
        finally:
            browser.close()
    assert not trouble, trouble


def _elsewhere(url: str) -> list[str]:
    own = ("http://127.0.0.1:", "http://localhost:", "data:", "blob:", "about:")
    return [] if url.startswith(own) else [f"asked for {url}"]


def violations(page: Page) -> str:
    """What axe finds wrong for people who cannot see, or use no mouse; the empty text where nothing is."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe
    found = axe().run(page)
    return str(found.generate_report()) if found.violations_count else ""
