from __future__ import annotations

from ser_agent.sinks.mqtt_states import EmotionHold, StateBoard
from ser_agent.sinks.mqtt_topics import Publication


def state(topic: str, payload: str, *, retain: bool = True) -> Publication:
    return Publication(topic, payload.encode(), 1, retain)


def drained(board: StateBoard) -> list[str]:
    values = []
    while (publication := board.take()) is not None:
        values.append(f"{publication.topic}={publication.payload.decode()}")
    return values


def test_only_the_latest_value_of_a_topic_is_sent() -> None:
    board = StateBoard()
    for payload in ("ON", "OFF", "ON"):
        board.put(state("speech", payload))
    board.put(state("microphone", "ON"))
    assert board.unsent == 2
    assert drained(board) == ["speech=ON", "microphone=ON"]
    assert board.unsent == 0


def test_a_value_that_stands_already_is_not_sent_again() -> None:
    board = StateBoard()
    board.put(state("speech", "ON"))
    drained(board)
    board.put(state("speech", "ON"))
    assert drained(board) == []
    board.put(state("speech", "OFF"))
    assert drained(board) == ["speech=OFF"]


def test_what_goes_ahead_is_sent_before_what_waits_already_and_again_at_every_reconnection() -> None:
    board = StateBoard()
    board.put(state("availability", "online"))
    board.put(state("config", "{}"), ahead=True)
    for _ in range(2):
        assert drained(board) == ["config={}", "availability=online"]
        board.reassert()


def test_after_a_reconnection_every_retained_value_is_sent_again() -> None:
    board = StateBoard()
    board.put(state("availability", "online"))
    board.put(state("stats", "1", retain=False))
    board.put(state("speech", "ON"))
    drained(board)
    board.put(state("stats", "2", retain=False))
    board.reassert()
    assert drained(board) == ["availability=online", "speech=ON", "stats=2"]


def test_what_nobody_has_taken_can_be_withdrawn_unless_the_broker_keeps_it() -> None:
    board = StateBoard()
    board.put(state("partial", "1", retain=False))
    board.put(state("speech", "ON"))
    for topic in ("partial", "speech", "unheard-of"):
        board.withdraw(topic)
    assert drained(board) == ["speech=ON"]
    board.reassert()
    assert drained(board) == ["speech=ON"]


def test_one_topic_alone_can_be_sent_again() -> None:
    board = StateBoard()
    board.put(state("availability", "online"))
    board.put(state("speech", "ON"))
    drained(board)
    board.reassert("availability")
    board.reassert("unheard-of")
    assert drained(board) == ["availability=online"]


def test_nothing_expires_that_is_not_shown() -> None:
    hold = EmotionHold(30.0)
    assert hold.remaining_s(1000.0) is None
    assert not hold.expire(1000.0)


def test_an_emotion_expires_once_after_the_hold_time() -> None:
    hold = EmotionHold(30.0)
    hold.heard(100.0)
    assert hold.remaining_s(110.0) == 20.0
    assert not hold.expire(129.9)
    assert hold.expire(130.0)
    assert not hold.expire(131.0)


def test_while_somebody_speaks_it_stays_and_the_time_counts_from_their_end() -> None:
    hold = EmotionHold(30.0)
    hold.heard(100.0)
    hold.speech(speaking=True, now_s=120.0)
    assert hold.remaining_s(500.0) is None
    hold.speech(speaking=False, now_s=500.0)
    hold.speech(speaking=False, now_s=510.0)
    assert hold.remaining_s(510.0) == 20.0
    assert hold.expire(530.0)


def test_a_new_event_gives_it_new_time() -> None:
    hold = EmotionHold(30.0)
    hold.heard(100.0)
    hold.heard(120.0)
    assert not hold.expire(140.0)
    assert hold.expire(150.0)
