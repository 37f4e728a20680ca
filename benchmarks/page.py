"""How soon the pages can be used, from the command to a page that takes input.

    python -m benchmarks.page [--repeats 5]

Each is started in a process of its own and opened in a real Chromium that runs already. The peer is a bare
``gradio.Interface`` with the same input, in the same run, alternately with ours.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from playwright.sync_api import sync_playwright

from benchmarks.performance import CONVERSATION, program
from training.markdown import table

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser

RESULTS = Path(__file__).parent / "results" / "page.json"
CHROMIUM: Final = "/usr/bin/chromium"
PATIENCE_MS: Final = 120_000
PEER: Final = """
import sys, gradio
audio = gradio.Audio(sources=["upload", "microphone"], type="filepath")
gradio.Interface(lambda path: {"happy": 1.0}, audio, "label", analytics_enabled=False).launch(
    server_port=int(sys.argv[1]), quiet=True, share=False)
"""
UPLOAD: Final = "input[type=file]"
WHAT: Final = {
    "web": "`ser-agent web`",
    "peer": "bare `gradio.Interface`, same run",
    "live": "live page of an agent",
}


def main() -> None:
    """Measure, print a table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="how often each is opened")
    repeats = parser.parse_args().repeats
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE_MS)
        started: dict[str, Callable[[int], list[str]]] = {
            "web": lambda port: [program(), "web", "--port", str(port)],
            "peer": lambda port: [sys.executable, "-c", PEER, str(port)],
            "live": lambda port: live_command(Path(folder), port),
        }
        ready = {"web": UPLOAD, "peer": UPLOAD, "live": "html[data-ready]"}
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in started}
        for repeat in range(repeats + 1):
            for name, command in started.items():
                times = opened(browser, command, ready[name])
                if repeat:  # the first round fills the caches
                    taken[name].append(times)
        browser.close()
    figures = {
        name: {
            "server_s": round(statistics.median(server for server, _ in times), 2),
            "page_s": round(statistics.median(page for _, page in times), 2),
        }
        for name, times in taken.items()
    } | {"load": round(os.getloadavg()[0], 1), "cores": os.cpu_count(), "repeats": repeats}
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(page_table(figures))


def page_table(figures: dict[str, dict[str, float]]) -> str:
    """The figures as a table of Markdown."""
    header = ["page", "command to server, s", "server to page that can be used, s"]
    rows = [[told, f"{figures[name]['server_s']}", f"{figures[name]['page_s']}"] for name, told in WHAT.items()]
    return table(header, rows)


def opened(browser: Browser, command: Callable[[int], list[str]], ready: str) -> tuple[float, float]:
    """Seconds from the command until its port answers, and from then until the page can be used."""
    port = free_port()
    began = time.perf_counter()
    process = subprocess.Popen(command(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not answers(port):
            time.sleep(0.01)
        served = time.perf_counter()
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/", timeout=PATIENCE_MS)
        page.locator(ready).first.wait_for(state="attached", timeout=PATIENCE_MS)
        usable = time.perf_counter()
        context.close()
    finally:
        process.terminate()
        process.wait(60)
    return served - began, usable - served


def live_command(folder: Path, port: int) -> list[str]:
    """An agent that plays the bundled conversation and shows its page."""
    config = {
        "source": {"type": "files", "paths": [str(CONVERSATION)], "realtime": True, "loop": True},
        "sinks": [],
        "web": {"enabled": True, "port": port},
    }
    file = folder / "agent.yaml"
    file.write_text(json.dumps(config), encoding="utf-8")
    return [program(), "run", "--config", str(file)]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
