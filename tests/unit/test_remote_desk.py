"""The books of a satellite: whatever workers and broker do, each utterance comes to one end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from ser_agent.classifiers.remote_desk import MOST_TRIES, UNHEARD_S, Desk, Patience
from ser_agent.fleet_wire import FleetTopics, Presence, Reply
from ser_agent.ports import NON_SPEECH, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.classifiers.remote_desk import Asked
    from ser_agent.fleet_wire import Ask, State
    from ser_agent.ports import Answer

SCORES = {"happy": 1.0}
PATIENCE = Patience(answer_s=10.0, no_worker_s=2.0, most=16)


@dataclass
class World:
    """A desk, its time, and what it has sent."""

    patience: Patience = PATIENCE
    now_s: float = 100.0
    sent: list[Ask] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk = Desk(FleetTopics("b"), "den", self.patience, lambda: self.now_s)

    def comes(self, *workers: str) -> None:
        for worker in workers:
            self.desk.take_presence(worker, Presence(worker, "g", "m@1", ("happy",), 0.4))

    def goes(self, worker: str) -> None:
        self.desk.take_presence(worker, None)

    def send(self) -> list[Ask]:
        asks = self.desk.due(99)
        self.sent += asks
        return asks

    def says(self, worker: str, state: State, one: Asked) -> None:
        scores = SCORES if state == "answered" else None
        self.desk.take_reply(Reply(one.id, state, worker, "m@1", scores, "reason"))


def is_open(one: Asked) -> bool:
    return one.answer is None


def answer(world: World, one: Asked) -> Answer:
    assert not is_open(one)
    (given,) = world.desk.wait([one])
    return given


def test_nothing_is_sent_while_no_worker_is_in_sight() -> None:
    world = World()
    world.desk.connected()
    world.desk.ask([b"sound"])
    assert world.send() == []
    world.comes("w")
    (ask,) = world.send()
    assert (ask.payload, ask.attempt, ask.expires_in_s, ask.response_topic) == (b"sound", 1, 10, "b/answers/den")
    assert world.send() == []


def test_what_waits_has_less_time_left() -> None:
    world = World()
    world.desk.ask([b"sound"])
    world.now_s += 3.5
    world.comes("w")
    assert world.send()[0].expires_in_s == 7


def test_no_sound_is_kept_once_it_is_over() -> None:
    world = World()
    world.comes("w")
    one, other = world.desk.ask([b"sound", b"more"])
    world.send()
    world.says("w", "answered", one)
    world.says("w", "non_speech", other)
    assert (one.payload, other.payload) == (b"", b"")
    assert world.desk.wait([one, other]) == [SCORES, NON_SPEECH]


def test_after_a_new_connection_all_that_is_open_is_sent_under_the_same_id() -> None:
    world = World()
    world.comes("w")
    one, other = world.desk.ask([b"sound", b"more"])
    world.send()
    world.says("w", "answered", other)
    world.desk.disconnected()
    world.desk.connected()
    world.comes("w")
    assert [(ask.id, ask.attempt) for ask in world.send()] == [(one.id, 1)]


def test_a_worker_that_goes_has_used_a_try_of_what_it_had_taken_alone() -> None:
    world = World()
    world.comes("v", "w")
    taken, waiting, elsewhere = world.desk.ask([b"1", b"2", b"3"])
    world.send()
    world.says("w", "taken", taken)
    world.says("v", "taken", elsewhere)
    world.goes("w")
    assert {ask.id: ask.attempt for ask in world.send()} == {taken.id: 2, waiting.id: 1}


def test_what_two_workers_have_taken_is_left_to_the_one_that_lives() -> None:
    world = World()
    world.comes("v", "w")
    (one,) = world.desk.ask([b"1"])
    world.send()
    world.says("v", "taken", one)
    world.says("w", "taken", one)
    world.goes("v")
    assert world.send() == []
    world.says("w", "answered", one)
    assert answer(world, one) == SCORES


def test_two_failures_set_it_aside() -> None:
    world = World()
    world.comes("w")
    (one,) = world.desk.ask([b"1"])
    for _ in range(MOST_TRIES):
        world.send()
        world.says("w", "failed", one)
    assert answer(world, one) == Unanswered("poisoned")
    assert [ask.attempt for ask in world.sent] == [1, 2]


def test_what_nobody_listens_to_is_sent_again_after_a_while() -> None:
    world = World()
    world.comes("w")
    (one,) = world.desk.ask([b"1"])
    world.send()
    world.desk.arrived(one.id, heard=False)
    assert world.send() == []
    assert world.desk.next_s() == UNHEARD_S
    world.now_s += UNHEARD_S
    assert [ask.id for ask in world.send()] == [one.id]


def test_without_a_fallback_what_was_asked_in_time_waits_to_its_end() -> None:
    world = World()
    world.comes("w")
    (one,) = world.desk.ask([b"1"])
    world.goes("w")
    world.now_s += 9.0
    assert world.desk.in_vain()
    assert is_open(one)
    world.now_s += 1.0
    assert world.desk.wait([one]) == [Unanswered("no_worker")]


def test_with_a_fallback_it_waits_only_until_no_worker_was_in_sight_for_a_while() -> None:
    world = World(Patience(10.0, 2.0, 16, has_fallback=True))
    world.comes("w")
    (one,) = world.desk.ask([b"1"])
    world.now_s += 3.0
    world.goes("w")
    world.now_s += 2.0
    assert world.desk.wait([one]) == [Unanswered("no_worker")]


def test_with_a_fallback_a_broker_that_acknowledges_nothing_is_not_waited_for() -> None:
    world = World(Patience(10.0, 2.0, 16, has_fallback=True))
    world.comes("w")
    one, other = world.desk.ask([b"1", b"2"])
    world.send()
    world.desk.arrived(other.id, heard=True)
    world.now_s += 2.0
    assert world.desk.wait([one]) == [Unanswered("no_worker")]
    assert is_open(other)


def test_it_is_not_in_vain_before_a_worker_could_have_come() -> None:
    world = World()
    assert not world.desk.in_vain()
    world.now_s += 2.0
    assert world.desk.in_vain()
    world.comes("w")
    assert not world.desk.in_vain()


def test_no_more_than_so_many_are_on_their_way() -> None:
    world = World(Patience(10.0, 2.0, 2))
    world.comes("w")
    first, *_ = world.desk.ask([b"1", b"2", b"3"])
    assert len(world.send()) == 2
    world.says("w", "answered", first)
    assert len(world.send()) == 1


def perform(world: World, asked: list[Asked], step: str, number: int, worker: str) -> None:
    """One thing that may happen."""
    deeds: dict[str, Callable[[], object]] = {
        "ask": lambda: asked.extend(world.desk.ask([b"s"] * (1 + number % 3))),
        "send": world.send,
        "pass": lambda: setattr(world, "now_s", world.now_s + number),
        "comes": lambda: world.comes(worker),
        "goes": lambda: world.goes(worker),
        "lost": world.desk.disconnected,
        "back": world.desk.connected,
    }
    if asked:
        chosen = asked[number % len(asked)]
        deeds |= {
            "taken": lambda: world.says(worker, "taken", chosen),
            "answered": lambda: world.says(worker, "answered", chosen),
            "failed": lambda: world.says(worker, "failed", chosen),
            "unheard": lambda: world.desk.arrived(chosen.id, heard=False),
        }
    deeds.get(step, lambda: None)()


NAMES = ("ask", "send", "pass", "comes", "goes", "lost", "back", "taken", "answered", "failed", "unheard")
steps = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 5), st.sampled_from(["v", "w"])), max_size=60)


@settings(max_examples=100, deadline=None)
@given(steps, st.booleans())
def test_each_utterance_comes_to_exactly_one_end(script: list[tuple[str, int, str]], has_fallback: bool) -> None:  # noqa: FBT001
    world = World(Patience(10.0, 2.0, 4, has_fallback))
    asked: list[Asked] = []
    ends: dict[str, Answer] = {}
    for step, number, worker in script:
        perform(world, asked, step, number, worker)
        for one in asked:
            if one.answer is not None:
                assert ends.setdefault(one.id, one.answer) is one.answer, "an end that changes"
                assert one.payload == b""
    assert all(ask.attempt <= MOST_TRIES for ask in world.sent)
    world.now_s += 10.0
    assert len(world.desk.wait(asked)) == len(asked)
    assert world.desk.counts()["asked"] == len(asked)
    assert world.desk.due(99) == []
