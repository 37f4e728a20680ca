"""The page of ``ser-agent web`` in a real Chromium: upload, record, examples, many files, and what is refused."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
import soxr
from support.browser import browsing, chromium, violations

from ser_agent.audio import SAMPLE_RATE
from ser_agent.audio_files import read_utterance
from ser_agent.labels import EMOJI
from ser_agent.translations import friendly
from ser_agent.web.uploads import SHARED_MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(300)

DATA = Path(__file__).parents[1] / "data"
CLIP = DATA / "1011_ITH_HAP_XX.opus"
EMOTIONS = {friendly(label, "en") for label in EMOJI}
"""Which of them is heard depends on how much of the sound a busy machine lets through."""
STOP_S = 60.0
PAUSE = np.zeros(SAMPLE_RATE // 2)


class Served(NamedTuple):
    """A page that is served.

    Attributes:
        address: of the page.
        folder: where its uploads go.
    """

    address: str
    folder: Path

    def left(self) -> list[Path]:
        """What was sent and not deleted."""
        return [file for file in self.folder.rglob("*") if file.is_file()]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """The page, with a limit of a quarter of a minute, and a second model that is not there."""
    pytest.importorskip("gradio")
    chromium()
    command = [sys.executable, "-m", "ser_agent", "web", "--port", "0", "--set", "web.longest_s=15"]
    command += ["--set", "web.models=[/nowhere/at-all]"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().removeprefix("open ").strip()
            assert address, "the page did not start"
            parent = SHARED_MEMORY if SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
            (folder,) = parent.glob(f"ser-agent-{process.pid}-*")
            yield Served(address, folder)
            process.terminate()
            assert process.wait(STOP_S) == 0
        finally:
            process.kill()
    assert not folder.exists(), "the folder of uploads is still there"


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence again and again, as Chromium's fake microphone wants it: whenever it hears, somebody speaks."""
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    sound = np.tile(np.concatenate((PAUSE, read_utterance(CLIP) / 32768, PAUSE)), 20)
    soundfile.write(path, soxr.resample(sound, SAMPLE_RATE, 48_000), 48_000, subtype="PCM_16")
    return path


def heard(page: Page) -> str:
    """The emotion that the page tells."""
    return page.locator("#result .sa-name").inner_text()


def upload(page: Page, *files: Path, place: str = "#recording") -> None:
    page.locator(f"{place} input[type=file]").set_input_files([str(file) for file in files])


def test_a_recording_by_microphone_or_file_is_heard_and_deleted(
    served: Served, microphone: Path, tmp_path: Path
) -> None:
    with browsing(microphone, locale="en-GB") as page:
        page.goto(served.address)
        page.locator("#result .sa-empty").wait_for()
        assert violations(page) == ""
        page.get_by_label("Record audio").click()
        page.locator("#recording .record-button").click()
        page.locator("#recording .stop-button").wait_for()
        page.wait_for_timeout(3000)  # the sentence is spoken meanwhile, or most of it
        page.locator("#recording .stop-button").click()
        page.locator("#result .sa-report").wait_for()
        assert heard(page) in EMOTIONS
        assert page.locator("#result .sa-top li").count() == 3
        assert page.locator("#result .sa-bars li").count() == 7
        assert page.locator("#result .sa-mark").count() >= 1
        assert violations(page) == ""
        page.locator("#recording .record-button").wait_for()  # ready for the next
        page.get_by_label("Upload file").click()
        page.locator("#recording input[type=file]").wait_for(state="attached")
        assert heard(page) in EMOTIONS  # what was heard stays
        for suffix in ("mp3", "flac"):
            page.locator("#result").evaluate("element => element.querySelector('.sa-report').classList.add('old')")
            soundfile.write(tmp_path / f"spoken.{suffix}", read_utterance(CLIP), SAMPLE_RATE)
            upload(page, tmp_path / f"spoken.{suffix}")
            page.locator("#result .sa-report:not(.old)").wait_for()
            assert heard(page) in EMOTIONS
        soundfile.write(tmp_path / "long.wav", np.tile(read_utterance(CLIP), 10), SAMPLE_RATE)
        upload(page, tmp_path / "long.wav")
        page.locator("#result .sa-trouble", has_text="longer than 15 s").wait_for()
        assert served.left() == []


def test_every_example_and_every_model_can_be_chosen_on_a_phone_in_german(served: Served) -> None:
    with browsing(locale="de-DE", color_scheme="dark", viewport={"width": 390, "height": 844}) as page:
        page.goto(served.address)
        page.locator("h1", has_text="Wie klingt das?").wait_for()
        buttons = page.locator(".sa-example")
        buttons.nth(4).wait_for()
        assert buttons.count() == 5
        seen: set[str] = set()
        for number in range(buttons.count()):
            buttons.nth(number).click()
            page.locator("#result .sa-scale span").nth(2).wait_for()
            page.wait_for_function(
                "seen => !seen.includes(document.querySelectorAll('#result .sa-scale span')[2]?.textContent)",
                arg=sorted(seen),
            )
            seen.add(page.locator("#result .sa-scale span").nth(2).inner_text())
        assert len(seen) == 5
        assert page.locator("#result .sa-mark").count() > 8  # the whole conversation
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert violations(page) == ""
        page.get_by_label("Modell").click()
        page.get_by_role("option", name="/nowhere/at-all").click()
        buttons.first.click()
        page.locator("#result .sa-trouble", has_text="/nowhere/at-all").wait_for()


def test_several_files_make_a_table_that_can_be_saved(served: Served, tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_text("This is no sound.")
    names = ("1011_ITH_HAP_XX", "1031_IEO_SAD_LO", "1061_IEO_ANG_LO")
    clips = [tmp_path / f"{name}.wav" for name in names]
    for clip in clips:
        soundfile.write(clip, read_utterance(DATA / f"{clip.stem}.opus"), SAMPLE_RATE)
    with browsing(locale="en-GB") as page:
        page.goto(served.address)
        page.get_by_role("tab", name="Several files").click()
        upload(page, *clips, broken, place="#files")
        page.locator("#table tbody tr").nth(3).wait_for()
        assert violations(page) == ""
        with page.expect_download() as saving:
            page.locator(".sa-save").click()
        saving.value.save_as(tmp_path / "emotions.csv")
    with (tmp_path / "emotions.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {*(clip.name for clip in clips), "broken.wav"}
    assert all(0.0 < float(rows[clip.name]["confidence"]) <= 1.0 for clip in clips)
    assert "not an audio file" in rows["broken.wav"]["remarks"]
    assert served.left() == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("GET", "/", {"Host": "evil.example"}, 421),
        ("POST", "/gradio_api/queue/join", {"Origin": "http://evil.example"}, 403),
        ("POST", "/gradio_api/upload", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/gradio_api/upload", {"Content-Length": "99999999999"}, 413),
        ("POST", "/gradio_api/queue/join", {"Content-Length": "999999"}, 413),
        ("GET", "/gradio_api/file=/etc/passwd", {}, 403),
        ("GET", "/gradio_api/file=../../etc/passwd", {}, 403),
        ("GET", "/gradio_api/proxy=http://127.0.0.1:1/", {}, 404),
        ("GET", "/monitoring", {}, 404),
        ("GET", "/openapi.json", {}, 404),
        ("POST", "/gradio_api/vibe-edit", {}, 404),
        ("GET", "/static/..%2f..%2froutes.py", {}, 403),
    ],
)
def test_what_the_page_does_not_need_is_closed(
    served: Served, method: str, path: str, headers: dict[str, str], expected: int
) -> None:
    connection = HTTPConnection(urlsplit(served.address).netloc, timeout=60)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in ({} if "Content-Length" in headers else {"Content-Length": "0"} | headers).items():
        connection.putheader(name, value)
    if "Content-Length" in headers:
        connection.putheader("Content-Length", headers["Content-Length"])
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == expected
    connection.close()
