"""The live page's memory: bounded, and the same for whoever comes early or late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from support.events import an_event, some_info, some_stats

from ser_agent.messages import (
    AnyMessage,
    Availability,
    ListeningState,
    MicrophoneState,
    SpeechState,
    ThresholdState,
)
from ser_agent.sinks.page_board import KEPT_S, MOST_EVENTS, MOST_NEWS, Board, Viewer

BEGAN = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)


class Clock:
    """A wall clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = BEGAN

    def __call__(self) -> float:
        return self.now.timestamp()


def event_at(moment: datetime, emotion: str = "happy") -> AnyMessage:
    return an_event(emotion=emotion).model_copy(update={"started_at": moment})


def test_the_board_tells_what_every_message_said_last() -> None:
    board = Board("test")
    for message in (
        some_info(),
        Availability(online=True),
        MicrophoneState(connected=False, lost=True),
        SpeechState(speaking=True),
        ListeningState(on=False),
        ThresholdState(value=0.3),
        some_stats(),
    ):
        board.take(message)
    assert board.snapshot()["state"] == {
        "site": "test",
        "online": True,
        "microphone": False,
        "lost": True,
        "speaking": True,
        "listening": False,
        "threshold": 0.3,
        "labels": ["angry", "happy"],
        "model": "embedded@1",
        "version": "0.1.0",
    }


def test_how_a_single_satellite_is_does_not_change_the_whole() -> None:
    board = Board("test")
    board.take(MicrophoneState(connected=True))
    board.take(MicrophoneState(connected=False, site="attic"))
    assert board.snapshot()["state"]["microphone"] is True


def test_events_of_a_day_are_kept_and_older_ones_forgotten() -> None:
    clock = Clock()
    board = Board("test", clock)
    board.take(event_at(BEGAN - timedelta(seconds=KEPT_S - 60), "sad"))
    board.take(event_at(BEGAN))
    assert [event[2] for event in board.snapshot()["events"]] == ["sad", "happy"]
    clock.now = BEGAN + timedelta(minutes=2)
    assert [event[2] for event in board.snapshot()["events"]] == ["happy"]


def test_more_events_than_there_is_room_for_push_out_the_oldest() -> None:
    clock = Clock()
    board = Board("test", clock)
    for number in range(MOST_EVENTS + 5):
        board.take(event_at(BEGAN + timedelta(milliseconds=number)))
    events = board.snapshot()["events"]
    assert len(events) == MOST_EVENTS
    assert events[0][0] == round(1000 * (BEGAN.timestamp() + 2.31)) + 5


def test_a_viewer_that_does_not_keep_up_is_to_get_a_snapshot_and_holds_up_nobody() -> None:
    board = Board("test")
    slow, quick = Viewer(), Viewer()
    slow.behind = quick.behind = False
    board.admit(slow)
    board.admit(quick)
    for number in range(MOST_NEWS + 1):
        board.take(ThresholdState(value=number / 100))
        assert quick.news.get(0) == ("state", {"threshold": number / 100})
    assert slow.behind
    assert not quick.behind
    assert len(slow.news) == MOST_NEWS
    board.dismiss(slow)
    assert board.watched == 1
