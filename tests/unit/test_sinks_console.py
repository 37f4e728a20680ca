from __future__ import annotations

from pathlib import Path

import pytest
from support.events import an_event, some_info, some_stats

from ser_agent.errors import SinkError
from ser_agent.labels import EMOJI, Emotion
from ser_agent.messages import Availability, EmotionScore, MicrophoneState, SpeechState
from ser_agent.ports import PluginContext
from ser_agent.sinks.console import ConsoleOptions, ConsoleSink, bar, event_line
from ser_agent.testing import check_sink


def console() -> ConsoleSink:
    return ConsoleSink(ConsoleOptions(), PluginContext("test", Path()))


def test_it_keeps_the_promises_of_a_sink(capsys: pytest.CaptureFixture[str]) -> None:
    check_sink(console(), an_event())
    assert capsys.readouterr().out.count("\n") == 1, "one line for the one event"


def test_a_line_tells_time_emotion_the_best_three_and_the_duration() -> None:
    event = an_event()
    local = f"{event.started_at.astimezone():%H:%M:%S}"
    assert event_line(event).plain == (
        f"{local}  😊 happy       ███████  happy     87%  ▋        neutral    8%  ▍        surprise   5%  2.3 s"
    )


def test_an_uncertain_event_shows_as_such_and_still_tells_the_best() -> None:
    line = event_line(an_event(emotion="uncertain", confidence=0.31)).plain
    assert "🤔 uncertain" in line
    assert "happy     31%" in line


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
