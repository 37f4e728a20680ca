"""Takes the pictures of ``docs/images/``: the live page and that of ``ser-agent web``; light, dark, on a phone.

    python -m benchmarks.screenshots

It needs Chromium, and, for emoji in colour, Debian's ``fonts-noto-color-emoji``. The evening on the live page is
made up: its emotions and times are drawn at random.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from playwright.sync_api import sync_playwright

from ser_agent.labels import Emotion
from ser_agent.messages import (
    AgentInfo,
    Availability,
    EmotionEvent,
    EmotionScore,
    ListeningState,
    MicrophoneState,
    SpeechState,
    ThresholdState,
)
from ser_agent.page_options import PageOptions
from ser_agent.ports import PluginContext
from ser_agent.sinks.page import PageSink

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
CHROMIUM: Final = "/usr/bin/chromium"
PATIENCE_MS: Final = 120_000


class Look(NamedTuple):
    """How a page is looked at."""

    width: int
    height: int
    scheme: Literal["light", "dark"] = "light"
    locale: str = "en-GB"


LIGHT: Final = Look(1160, 900)
DARK: Final = Look(1160, 900, "dark")
PHONE: Final = Look(390, 844)
LABELS: Final = tuple(label for label in Emotion if label != Emotion.CALM)
WEIGHTS: Final = (2, 1, 1, 6, 8, 3, 2)
"""How often each of ``LABELS`` is heard in the made-up evening."""


def main() -> None:
    """Take all of them, or some."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="those whose names hold this, such as web or dark"
    )
    only = parser.parse_args().only
    german = PHONE._replace(locale="de-DE")
    live = {"live-light": LIGHT, "live-dark": DARK, "live-phone": PHONE}
    web = {"web-light": LIGHT, "web-dark": DARK, "web-phone": german}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE_MS)
        with an_evening() as sink:
            for name in (name for name in live if only in name):
                take_live(browser, sink, name, live[name])
        with the_page() as address:
            for name in (name for name in web if only in name):
                take_web(browser, address, name, web[name])
        browser.close()


@contextmanager
def an_evening() -> Iterator[PageSink]:
    """A live page that has heard an evening."""
    sink = PageSink(PageOptions(port=0), PluginContext("living-room", Path.cwd()))
    sink.open()
    for message in (
        Availability(online=True),
        MicrophoneState(connected=True),
        ListeningState(on=True),
        ThresholdState(value=0.42),
        AgentInfo(
            version="0.1.0",
            site="living-room",
            model="embedded@2",
            model_licence=None,
            labels=tuple(LABELS),
            languages=("en",),
            config_digest="",
            instance="",
        ),
    ):
        sink.publish(message)
    draw = random.Random(11)  # noqa: S311 - a picture, no secret
    now_s = time.time()
    moment_s = now_s - 3600.0
    label = Emotion.NEUTRAL
    while moment_s < now_s - 30:
        moment_s += draw.choice((5, 7, 9, 12, 40, 160))
        label = draw.choices((label, *LABELS), (9, *WEIGHTS))[0]
        sink.publish(an_event(moment_s, label, draw))
    sink.publish(an_event(now_s - 6, Emotion.HAPPY, draw))
    sink.publish(SpeechState(speaking=True))
    yield sink
    sink.close()


def an_event(moment_s: float, label: Emotion, draw: random.Random) -> EmotionEvent:
    """One utterance."""
    confidence = round(draw.uniform(0.45, 0.95), 2)
    others = draw.sample([other for other in LABELS if other != label], 2)
    shares = (confidence, round((1 - confidence) * 0.6, 2), round((1 - confidence) * 0.25, 2))
    return EmotionEvent(
        agent="living-room",
        started_at=datetime.fromtimestamp(moment_s, UTC),
        offset_s=0.0,
        duration_s=round(draw.uniform(0.8, 5.0), 2),
        emotion=label,
        confidence=confidence,
        emotions=tuple(
            EmotionScore(label=one, score=share) for one, share in zip((label, *others), shares, strict=True)
        ),
        end_reason="silence",
        level_dbfs=-24.0,
        source="microphone",
        model="embedded@2",
        latency_ms=95,
    )


VITALS: Final[dict[str, Any]] = {
    "level_dbfs": -26.4,
    "latency_p50_ms": 90,
    "latency_p95_ms": 122,
    "utterances": 131,
    "published": 124,
    "dropped": 7,
    "failed": 0,
    "frames_dropped": 0,
    "uptime_s": 14_520.0,
    "sinks": {"mqtt": {"connected": True, "lost": 0}},
}


def take_live(browser: Browser, sink: PageSink, name: str, look: Look) -> None:
    """A picture of the live page."""
    with opened(browser, f"http://127.0.0.1:{sink.port}/", look) as page:
        page.locator("html[data-ready] #now-name", has_text="Happy").wait_for(timeout=PATIENCE_MS)
        sink._board.tell_vitals(VITALS)  # noqa: SLF001 - there is no agent whose they would be
        page.locator("#health dd", has_text="connected").wait_for(timeout=PATIENCE_MS)
        save(page, name)


def take_web(browser: Browser, address: str, name: str, look: Look) -> None:
    """A picture of the page of ``ser-agent web`` that has heard an example: on a phone a sentence, else all."""
    with opened(browser, address, look) as page:
        page.locator("#result .sa-empty").wait_for(timeout=PATIENCE_MS)
        example = page.locator(".sa-example")
        on_a_phone = look.width == PHONE.width
        (example.first if on_a_phone else example.last).click()
        page.locator("#result .sa-report").wait_for(timeout=PATIENCE_MS)
        if on_a_phone:
            page.locator("#result").scroll_into_view_if_needed()
            page.locator("#result").evaluate("element => element.scrollIntoView()")
        save(page, name)


@contextmanager
def the_page() -> Iterator[str]:
    """``ser-agent web``, served."""
    command = [sys.executable, "-m", "ser_agent", "web", "--port", "0"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder)
        assert process.stdout is not None  # noqa: S101 - asked for
        yield process.stdout.readline().removeprefix("open ").strip()
        process.terminate()
        process.wait(60)


@contextmanager
def opened(browser: Browser, address: str, look: Look) -> Iterator[Page]:
    """A page in a window of its own."""
    context = browser.new_context(
        viewport={"width": look.width, "height": look.height},
        color_scheme=look.scheme,
        locale=look.locale,
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(address, timeout=PATIENCE_MS)
    yield page
    context.close()


def save(page: Page, name: str) -> None:
    """Keep what is on the screen."""
    page.wait_for_timeout(1000)  # the drawing of letters and emoji is not told
    page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
