from __future__ import annotations

import pytest
from support.events import an_event, some_info, some_stats

from ser_agent.errors import SinkError
from ser_agent.messages import Availability, MicrophoneState, SpeechState
from ser_agent.sinks.mqtt_mailbox import Mailbox, Parcel
from ser_agent.sinks.mqtt_topics import Topics


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def mailbox(max_events: int = 10, clock: Clock | None = None) -> Mailbox:
    return Mailbox(Topics("base", "site"), max_events=max_events, hold_s=30.0, clock=clock or Clock())


def collected(box: Mailbox) -> list[Parcel]:
    parcels = []
    while (parcel := box.collect()) is not None:
        parcels.append(parcel)
    return parcels


def names(parcels: list[Parcel]) -> list[str]:
    return [parcel.publication.topic.removeprefix("base/site/") for parcel in parcels]


def test_it_begins_offline_and_without_an_emotion() -> None:
    parcels = collected(mailbox())
    assert names(parcels) == ["availability", "emotion"]
    assert parcels[0].publication.payload == b"offline"
    assert b'"none"' in parcels[1].publication.payload


def test_states_go_before_events() -> None:
    box = mailbox()
    collected(box)
    box.post(an_event(1))
    box.post(an_event(2))
    box.post(SpeechState(speaking=False))
    assert names(collected(box)) == ["emotion", "speech", "event", "event"]


def test_a_new_session_tells_all_states_and_what_was_never_acknowledged() -> None:
    box = mailbox()
    for message in (Availability(online=True), some_info(), MicrophoneState(connected=True), some_stats()):
        box.post(message)
    box.post(an_event(1))
    box.post(an_event(2))
    first, second = collected(box)[-2:]
    box.settle(first)
    box.begin_session()
    again = collected(box)
    assert names(again) == ["availability", "emotion", "info", "microphone", "event"]
    assert again[-1].publication == second.publication


def test_all_is_settled_once_everything_is_acknowledged() -> None:
    box = mailbox()
    box.post(an_event(1))
    assert not box.wait_settled(0.0)
    parcels = collected(box)
    assert not box.wait_settled(0.0)
    for parcel in parcels:
        box.settle(parcel)
    assert box.wait_settled(0.0)
    assert box.lost == 0


def test_a_refused_event_is_lost_for_a_reason() -> None:
    box = mailbox()
    box.post(an_event(1))
    event = collected(box)[-1]
    box.settle(event, "not authorized")
    assert box.losses == {"not authorized": 1}
    assert box.waiting == 0


def test_the_oldest_event_makes_room_and_that_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    box = mailbox(max_events=2)
    for number in range(5):
        box.post(an_event(number))
    assert (box.waiting, box.lost) == (2, 3)
    assert caplog.text.count("outbox is full") == 1


def test_the_emotion_expires_and_a_lost_microphone_ends_the_speech() -> None:
    clock = Clock()
    box = mailbox(clock=clock)
    box.post(an_event(1))
    box.post(SpeechState(speaking=True))
    clock.now_s = 100.0
    assert box.remaining_s() is None
    box.post(MicrophoneState(connected=False))
    assert box.remaining_s() == 30.0
    collected(box)
    clock.now_s = 130.0
    (none,) = collected(box)
    assert b'"none"' in none.publication.payload


@pytest.mark.parametrize(
    ("online", "payload", "told"), [(True, b"offline", ["availability"]), (True, b"online", [])]
)
def test_a_foreign_availability_is_contradicted(online: bool, payload: bytes, told: list[str]) -> None:  # noqa: FBT001
    box = mailbox()
    box.post(Availability(online=online))
    collected(box)
    box.contradict(payload)
    assert names(collected(box)) == told


def test_once_closed_it_says_offline_hands_out_no_event_and_takes_nothing() -> None:
    box = mailbox()
    box.post(Availability(online=True))
    collected(box)
    box.begin_session()
    for parcel in collected(box):
        box.settle(parcel)
    box.post(an_event(1))
    box.close()
    with pytest.raises(SinkError, match="closed"):
        box.post(an_event(2))
    parcels = collected(box)
    assert names(parcels) == ["emotion", "availability"]
    assert parcels[1].publication.payload == b"offline"
    assert not box.may_leave()
    for parcel in parcels:
        box.settle(parcel)
    assert box.may_leave()
    box.contradict(b"online")
    assert collected(box) == []
    assert box.abandon() == 1
    assert box.lost == 1
