from __future__ import annotations

import pytest
from support.events import an_event, some_info, some_stats

from ser_agent.errors import SinkError
from ser_agent.messages import (
    Availability,
    ListeningState,
    MicrophoneState,
    SpeechState,
    ThresholdState,
    make_partial,
)
from ser_agent.sinks.homeassistant import Discovery
from ser_agent.sinks.mqtt_display import Display
from ser_agent.sinks.mqtt_mailbox import MAX_NOTES, Mailbox, Parcel
from ser_agent.sinks.mqtt_topics import Publication, Topics
from ser_agent.sinks.outbox import Outbox

DISCOVERY = "homeassistant/device/ser-agent-cae66217-site/config"


BEGINNING = ["availability", "emotion", "mood", "speech", "microphone"]


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def mailbox(max_events: int = 10, clock: Clock | None = None, *, discovery: bool = False) -> Mailbox:
    topics = Topics("base", "site")
    for_home_assistant = Discovery(topics, "homeassistant", "en") if discovery else None
    display = Display(topics, for_home_assistant, hold_s=30.0, mood_s=60.0)
    return Mailbox(topics, display, Outbox(max_events), clock=clock or Clock())


def a_note(number: int) -> Publication:
    return Publication("base/site/response/reload", b"%d" % number, qos=1, retain=False)


def collected(box: Mailbox) -> list[Parcel]:
    parcels = []
    while (parcel := box.collect()) is not None:
        parcels.append(parcel)
    return parcels


def names(parcels: list[Parcel]) -> list[str]:
    return [parcel.publication.topic.removeprefix("base/site/") for parcel in parcels]


def test_it_begins_offline_and_without_an_emotion() -> None:
    parcels = collected(mailbox())
    assert names(parcels) == BEGINNING
    assert parcels[0].publication.payload == b"offline"
    assert b'"none"' in parcels[1].publication.payload


def test_states_go_before_events() -> None:
    box = mailbox()
    collected(box)
    box.post(an_event(1))
    box.post(an_event(2))
    box.post(SpeechState(speaking=True))
    assert names(collected(box)) == ["emotion", "mood", "speech", "event", "event"]


def test_a_guess_at_half_an_utterance_goes_before_its_event_or_not_at_all() -> None:
    box = mailbox()
    collected(box)
    box.post(make_partial(an_event(1)))
    box.post(make_partial(an_event(2)))
    assert names(collected(box)) == ["partial"]
    box.post(make_partial(an_event(3)))
    box.post(an_event(3))
    assert names(collected(box)) == ["emotion", "mood", "event"]


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
    assert names(again) == [*BEGINNING, "info", "event"]
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


def test_notes_go_after_states_and_before_events_and_are_told_again_until_acknowledged() -> None:
    box = mailbox()
    collected(box)
    box.post(an_event(1))
    box.note(a_note(1))
    assert names(collected(box)) == ["emotion", "mood", "response/reload", "event"]
    assert not box.wait_settled(0.0)
    box.begin_session()
    again = collected(box)
    assert names(again)[-2:] == ["response/reload", "event"]
    for parcel in again:
        box.settle(parcel)
    assert box.wait_settled(0.0)


def test_notes_are_bounded_and_no_loss_of_theirs_counts_as_an_event_s() -> None:
    box = mailbox()
    collected(box)
    for number in range(10_000):
        box.note(a_note(number))
    assert len(collected(box)) == MAX_NOTES
    assert box.lost == 0


def test_discovery_is_told_before_everything_else_once_it_is_known() -> None:
    box = mailbox(discovery=True)
    collected(box)
    box.post(some_info())
    assert [parcel.publication.topic for parcel in collected(box)] == [DISCOVERY, "base/site/info"]
    box.begin_session()
    again = [parcel.publication.topic for parcel in collected(box)]
    assert again[:2] == [DISCOVERY, "base/site/availability"]


def test_everything_is_told_again_after_a_while_and_not_again_and_again() -> None:
    clock = Clock()
    box = mailbox(clock=clock)
    box.post(Availability(online=True))
    collected(box)
    box.retell(5.0)
    box.retell(3.0)
    box.retell(4.0)
    assert box.remaining_s() == 3.0
    assert collected(box) == []
    clock.now_s = 3.0
    assert names(collected(box)) == BEGINNING
    clock.now_s = 10.0
    assert box.remaining_s() is None
    assert collected(box) == []


def test_a_state_that_somebody_doubts_is_told_again_though_it_has_not_changed() -> None:
    box = mailbox()
    states = (ListeningState(on=False), ThresholdState(value=0.55), MicrophoneState(connected=False))
    for state in states:
        box.post(state)
    assert names(collected(box)) == [*BEGINNING, "listen/state", "threshold/state"]
    for state in states:
        box.post(state)
    assert names(collected(box)) == ["listen/state", "threshold/state"]


def test_the_mood_outlives_the_emotion_and_ends_when_too_little_is_left() -> None:
    clock = Clock()
    box = mailbox(clock=clock)
    collected(box)
    for number in range(10):
        box.post(an_event(number))
        clock.now_s += 3.0
    mood = next(parcel for parcel in collected(box) if parcel.publication.topic.endswith("/mood"))
    assert mood.publication.payload == b'{"mood":"happy","share":0.87}'
    clock.now_s += 60.0
    assert names(collected(box)) == ["emotion"]
    remaining_s = box.remaining_s()
    assert remaining_s is not None
    clock.now_s += remaining_s + 0.001
    (none,) = collected(box)
    assert none.publication.payload == b'{"mood":"none","share":null}'
    assert box.remaining_s() is None


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
    none = next(parcel for parcel in collected(box) if parcel.publication.topic.endswith("/emotion"))
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
    assert names(parcels) == ["emotion", "mood", "availability"]
    assert parcels[2].publication.payload == b"offline"
    assert not box.may_leave()
    for parcel in parcels:
        box.settle(parcel)
    assert box.may_leave()
    box.contradict(b"online")
    assert collected(box) == []
    assert box.abandon() == 1
    assert box.lost == 1
