"""Reports as HTML: complete, escaped, in both languages; and as CSV."""

from __future__ import annotations

import base64
import csv
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile

from ser_agent.audio import SAMPLE_RATE
from ser_agent.messages import EmotionScore
from ser_agent.page_texts import PAGE_LANGUAGES, for_browser, texts
from ser_agent.testing import tone
from ser_agent.web.batch import COLUMNS, Row, as_csv, draw_batch
from ser_agent.web.drawing import Words, as_wav, draw_report, draw_trouble, draw_waveform
from ser_agent.web.hearing import Part, Report

EN = Words("en")
SCORES = tuple(
    EmotionScore(label=label, score=score)
    for label, score in (("happy", 0.6), ("neutral", 0.2), ("sad", 0.1), ("<b>odd</b>", 0.1))
)
REPORT = Report(
    tone(4.0),
    (
        Part(0.5, 1.5, "happy", SCORES, ("reason_close",)),
        Part(2.0, 2.1, None, (), ("reason_non_speech",)),
        Part(2.5, 3.5, "uncertain", SCORES, ("reason_short", "reason_noisy")),
    ),
    "happy",
    SCORES,
    ("reason_mixed",),
    "model@<1>",
    0.4,
)
SILENT = Report(np.zeros(SAMPLE_RATE, np.int16), (), None, (), ("reason_silent",), "model@1", 0.4)
EVIL = '<img src=x onerror="alert(1)">.wav'


class Balance(HTMLParser):
    """Counts what is open."""

    VOID = frozenset({"img", "br", "rect", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass


@pytest.mark.parametrize("language", PAGE_LANGUAGES)
@pytest.mark.parametrize("report", [REPORT, SILENT], ids=["speech", "silence"])
def test_a_report_is_whole_html_in_every_language(report: Report, language: str) -> None:
    text = draw_report(Words(language), report)  # type: ignore[arg-type]
    assert Balance(text).open == []
    for reason in report.reasons:
        assert texts(language)[reason] in text.replace("&#x27;", "'")


def test_a_report_tells_the_best_three_all_emotions_and_each_utterance() -> None:
    text = draw_report(EN, REPORT)
    top = re.findall(r'<ol class="sa-top">(.*?)</ol>', text)[0]
    assert top.count("<li") == 3
    assert re.findall(r"<b>(\d+%)</b>", top) == ["60%", "20%", "10%"]
    assert re.findall(r'<ol class="sa-bars">(.*?)</ol>', text)[0].count("<li") == 4
    assert text.count("<tr>") == 4
    assert text.count("sa-mark") == 3 + 1  # one for each utterance, in their place
    assert "🤔" in text


def test_nothing_from_outside_is_html() -> None:
    rows = [Row(EVIL, REPORT), Row(EVIL, error=EVIL)]
    for text in (draw_report(EN, REPORT), draw_batch(EN, rows), draw_trouble(EN, EVIL)):
        assert "<img" not in text
        assert "<b>odd" not in text
        assert "<1>" not in text


def test_the_waveform_has_bars_in_the_colour_of_their_utterance_and_nothing_is_too_short_for_it() -> None:
    fills = re.findall(r"fill: ([^\"]+)\"", draw_waveform(REPORT, 8))
    assert fills[0] == "var(--sa-rest)"
    assert fills[1] == fills[2] == "var(--happy)"
    assert fills[5] == "var(--uncertain)"
    assert draw_waveform(Report(np.ones(3, np.int16), (), None, (), (), "m", 0.4)).count("<rect") == 3


def test_the_player_plays_what_was_heard() -> None:
    samples, rate = soundfile.read(io.BytesIO(as_wav(REPORT.samples)), dtype="int16")
    assert rate == SAMPLE_RATE
    assert np.array_equal(samples, REPORT.samples)


def test_the_csv_has_a_line_for_each_file_and_no_formulas() -> None:
    rows = [Row("a.wav", REPORT), Row("=1+1.wav", SILENT), Row("b, c.wav", error="empty")]
    parsed = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert tuple(parsed[0]) == COLUMNS
    assert parsed[0]["emotion"] == "happy"
    assert parsed[0]["confidence"] == "0.6000"
    assert parsed[0]["emotion_3"] == "sad"
    assert parsed[0]["utterances"] == "3"
    assert parsed[1]["file"] == "'=1+1.wav"
    assert parsed[1]["emotion"] == ""
    assert parsed[2] == dict.fromkeys(COLUMNS, "") | {"file": "b, c.wav", "remarks": "empty"}


def test_the_link_saves_the_same_csv() -> None:
    rows = [Row("a.wav", REPORT)]
    found = re.search(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', draw_batch(EN, rows))
    assert found
    assert base64.b64decode(found[1]).decode("utf-8-sig") == as_csv(rows)


def test_both_languages_have_the_same_texts_with_the_same_places_for_values() -> None:
    english, german = (texts(language) for language in PAGE_LANGUAGES)
    assert english.keys() == german.keys()
    for key, text in english.items():
        assert text.strip(), key
        assert set(re.findall(r"{.*?}", text)) == set(re.findall(r"{.*?}", german[key])), key


def test_the_browser_gets_a_name_and_an_emoji_for_every_emotion() -> None:
    told = for_browser()
    for language in PAGE_LANGUAGES:
        assert told["languages"][language]["emotions"].keys() == told["emoji"].keys()
