"""The live page of a real agent, in a real Chromium, beside a real broker: everything that can be pressed is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.agent import AgentProcess
from support.browser import browsing, chromium, violations
from support.mqtt import Listener, Mosquitto, wait_until
from support.third_party import CHEERFUL, install

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

CLIP = Path(__file__).parents[1] / "data" / "1076_ITH_DIS_XX.opus"
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier that needs no model, and a browser."""
    chromium()
    install(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


@pytest.fixture
def agent(broker: Mosquitto, tmp_path: Path) -> Iterator[tuple[AgentProcess, str]]:
    """An agent that hears one sentence again and again, and the address of its page."""
    config: dict[str, Any] = {
        "site": "attic",
        "source": {"type": "files", "paths": [str(CLIP)], "realtime": True, "loop": True},
        "sinks": [{"type": "mqtt", "port": broker.port, "retry_max_s": 0.5}],
        "web": {"enabled": True, "port": 0},
    }
    with AgentProcess(tmp_path, config, *CHEERFUL) as process:
        process.wait_for("READY=1")
        yield process, address_of(process)


def address_of(process: AgentProcess) -> str:
    """Where the page of an agent that is up is served: its log tells."""
    found = re.search(r"live page: (http://\S+)", process.log)
    assert found is not None, process.log
    return f"{found[1]}/"


def text_of(page: Page, place: str) -> str:
    return page.locator(place).inner_text()


def test_the_page_follows_the_agent_and_steers_it(
    agent: tuple[AgentProcess, str], broker: Mosquitto, listener: Listener
) -> None:
    process, address = agent
    with browsing(locale="en-GB") as page:
        page.goto(address)
        page.locator("#link", has_text="Live").wait_for()
        page.locator("#now-name", has_text="Happy").wait_for()
        wait_until(listener.event_ids, "the broker has an event", PATIENCE_S)
        heard = listener.on("attic/event")[-1].fields
        wait_until(
            lambda: page.locator("#heard li").count() >= 2, "the page goes on without being loaded anew", 60
        )
        assert heard["emotion"] == "happy"
        assert page.locator("#now-ranks li").count() == len(heard["emotions"])  # type: ignore[arg-type]
        page.locator("dd", has_text="connected").wait_for()
        wait_until(lambda: page.get_attribute("#level", "aria-valuenow") != "-96", "the level moves", PATIENCE_S)
        assert violations(page) == ""
        press_everything(page, listener)
        broker.stop()
        page.locator("dd", has_text="away").wait_for()
        process.stop()
        page.locator("#link", has_text="The agent does not answer").wait_for()


def press_everything(page: Page, listener: Listener) -> None:
    """Each button once, and what it does; the mute twice."""
    page.locator("#mute").click()
    wait_until(lambda: listener.last("attic/listen/state") == "OFF", "the broker hears of the mute", PATIENCE_S)
    page.locator("#speech-text", has_text="Muted").wait_for()
    assert page.get_attribute("#mute", "aria-pressed") == "true"
    page.locator("#mute").click()
    wait_until(lambda: listener.last("attic/listen/state") == "ON", "the broker hears that it listens", PATIENCE_S)
    page.locator("#link", has_text="Live").wait_for()
    page.locator("#threshold").focus()
    page.keyboard.press("End")
    wait_until(lambda: listener.last("attic/threshold/state") == "1", "the threshold is set", PATIENCE_S)
    page.locator("#mute").focus()
    page.locator("#threshold-text", has_text="100 %").wait_for()
    page.locator("#now-name", has_text="Uncertain").wait_for()
    for hours in ("6", "24", "1"):
        page.locator(f'[data-hours="{hours}"]').click()
        assert page.get_attribute(f'[data-hours="{hours}"]', "aria-pressed") == "true"
    for theme in ("light", "dark"):
        page.locator("#theme").click()
        assert page.get_attribute("html", "data-theme") == theme
    assert violations(page) == ""
    page.locator("#theme").click()
    page.locator("#language").click()
    page.locator("#mute-text", has_text="Stumm schalten").wait_for()
    assert page.get_attribute("html", "lang") == "de"
    page.reload()
    page.locator("#mute-text", has_text="Stumm schalten").wait_for()  # the choice is remembered
    page.locator("#language").click()
    page.locator("#mute-text", has_text="Mute").wait_for()


def test_on_a_phone_nothing_is_wider_than_the_screen_and_a_token_opens_the_page(tmp_path: Path) -> None:
    config = {
        "site": "attic",
        "source": {"type": "files", "paths": [str(CLIP)], "realtime": True, "loop": True},
        "sinks": [],
        "web": {"enabled": True, "port": 0, "token": "a token of some length"},
    }
    with (
        AgentProcess(tmp_path, config, *CHEERFUL) as process,
        browsing(locale="de-DE", color_scheme="dark", viewport={"width": 360, "height": 740}) as page,
    ):
        process.wait_for("READY=1")
        page.goto(address_of(process))
        page.locator("#token").fill("not the token")
        assert violations(page) == ""
        page.locator("button").click()
        page.locator("#trouble", has_text="Das ist nicht das Zugangswort.").wait_for()
        page.locator("#token").fill("a token of some length")
        page.keyboard.press("Enter")
        page.locator("#now-name", has_text="Freude").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert violations(page) == ""
        cookies = page.context.cookies()
        assert [(cookie["httpOnly"], cookie["sameSite"]) for cookie in cookies] == [(True, "Strict")]
        assert "a token of some length" not in json.dumps(cookies)
        assert "a token of some length" not in process.log
