from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from support.events import an_event, some_info, some_stats

from ser_agent.config import load
from ser_agent.errors import ConfigError, SinkError
from ser_agent.labels import EMOJI, UNCERTAIN, Emotion
from ser_agent.messages import Availability, EmotionScore, MicrophoneState, SpeechState
from ser_agent.ports import PluginContext
from ser_agent.sinks.console import ConsoleOptions, ConsoleSink
from ser_agent.sinks.console_lines import bar, event_line
from ser_agent.testing import check_sink
from ser_agent.translations import LANGUAGES, friendly

if TYPE_CHECKING:
    from ser_agent.translations import Language


def console(language: Language = "en") -> ConsoleSink:
    return ConsoleSink(ConsoleOptions(language=language), PluginContext("test", Path()))


def test_it_keeps_the_promises_of_a_sink(capsys: pytest.CaptureFixture[str]) -> None:
    check_sink(console(), an_event())
    assert capsys.readouterr().out.count("\n") == 1, "one line for the one event"


def test_a_line_tells_time_emotion_the_best_three_and_the_duration() -> None:
    event = an_event()
    local = f"{event.started_at.astimezone():%H:%M:%S}"
    assert event_line(event).plain == (
        f"{local}  😊 Happy       ███████  Happy     87%  ▋        Neutral    8%  ▍        Surprise   5%  2.3 s"
    )


def test_an_uncertain_event_shows_as_such_and_still_tells_the_best() -> None:
    line = event_line(an_event(emotion="uncertain", confidence=0.31)).plain
    assert "🤔 Uncertain" in line
    assert "Happy     31%" in line


def test_a_line_is_in_the_language_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    sink = console("de")
    sink.open()
    sink.publish(an_event(emotion="sad"))
    assert "😢 Trauer          ███████  Freude        87%  ▋        Neutral        8%" in capsys.readouterr().out


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_columns_stand_one_below_the_other_in_every_language(language: Language) -> None:
    lines = [event_line(an_event(emotion=emotion), language).plain for emotion in (*Emotion, UNCERTAIN)]
    assert {cell_len(line[: line.index("█")]) for line in lines} == {cell_len(lines[0][: lines[0].index("█")])}
    assert {cell_len(line) for line in lines} == {cell_len(lines[0])}


def test_an_unknown_language_is_a_mistake_that_tells_which_there_are(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("sinks:\n  - type: console\n    language: nl\n")
    with pytest.raises(ConfigError) as caught:
        load(file)
    told = str(caught.value)
    assert told.endswith(
        "agent.yaml:3: sinks.0.language: expected 'de', 'en', 'es', 'fr', 'hi', 'it' or 'pl', not 'nl'"
    )


def test_a_label_of_the_models_own_is_shown_as_it_is() -> None:
    event = an_event(emotion="[red]joy[/red]")
    event = event.model_copy(update={"emotions": (EmotionScore(label="[red]joy[/red]", score=1.0),)})
    assert "[red]joy[/red]" in event_line(event).plain


@pytest.mark.parametrize("emotion", [*Emotion, "uncertain"])
def test_every_emotion_has_its_emoji(emotion: str) -> None:
    assert EMOJI[emotion] in event_line(an_event(emotion=emotion)).plain


def test_where_the_terminal_knows_ascii_only_the_line_is_ascii() -> None:
    line = event_line(an_event(), ascii_only=True).plain
    assert line.isascii()
    assert "#######." in line


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_name_that_such_a_terminal_cannot_show_gives_way_to_the_label(language: Language) -> None:
    for emotion in Emotion:
        line = event_line(an_event(emotion=emotion), language, ascii_only=True).plain
        assert line.isascii()
        assert emotion in line or friendly(emotion, language) in line


@pytest.mark.parametrize(
    ("score", "drawn"),
    [(0.0, "        "), (1.0, "████████"), (0.5, "████    "), (0.01, "▏       "), (0.999, "████████")],
)
def test_bars(score: float, drawn: str) -> None:
    assert bar(score) == drawn


def test_a_lost_microphone_and_its_return_are_told_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    sink = console()
    sink.open()
    for connected in (True, True, False, False, True, True):
        sink.publish(MicrophoneState(connected=connected, lost=not connected))
    for message in (Availability(online=True), SpeechState(speaking=True), some_info(), some_stats()):
        sink.publish(message)
    sink.close()
    assert capsys.readouterr().out.splitlines() == [
        "no sound arrives any more",
        "sound arrives again",
    ]


def test_a_source_that_ends_is_no_loss(capsys: pytest.CaptureFixture[str]) -> None:
    sink = console()
    sink.open()
    sink.publish(MicrophoneState(connected=True))
    sink.publish(MicrophoneState(connected=False))
    assert capsys.readouterr().out == ""


def test_what_is_piped_has_no_colours_and_is_never_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    sink = console()
    sink.open()
    sink.publish(an_event())
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out == event_line(an_event()).plain + "\n"


def test_on_a_terminal_there_are_colours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    sink = console()
    sink.open()
    sink.publish(an_event())
    assert "\x1b[" in capsys.readouterr().out


def test_it_takes_nothing_unless_open() -> None:
    with pytest.raises(SinkError, match="not open"):
        console().publish(an_event())
