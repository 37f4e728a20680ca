"""What can be asked of a running agent: mute, threshold, reload, restart, health; and what of it is remembered."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

import pytest
from support.life import Life, Radio
from support.mqtt import wait_until
from support.rig import PAUSE, SPEECH, Rig, speech

from ser_agent.agent import Outcome
from ser_agent.commands import Command, HealthCheck, Reload, Reply, Restart, SetListening, SetThreshold
from ser_agent.errors import SourceError, SourceLost
from ser_agent.messages import Availability, ListeningState, MicrophoneState, ThresholdState
from ser_agent.state import StateFile
from ser_agent.steering import HARD_MUTE
from ser_agent.testing import FakeClassifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ser_agent.audio import AudioFrame, Utterance

PATIENCE_S = 20.0
OFF, ON = SetListening(on=False), SetListening(on=True)


def test_muting_releases_the_source_drops_what_is_being_said_and_is_told() -> None:
    source = Radio(speech(PAUSE, SPEECH), speech(PAUSE, SPEECH, PAUSE))
    with Life(Rig(source)) as life:
        wait_until(lambda: source.is_silent, "somebody speaks")
        assert life.agent.books.begun == 1
        assert life.ask(OFF) == Reply()
        life.wait_for(ListeningState(on=False))
        assert not source.is_open
        life.wait_for(MicrophoneState(connected=False))
        wait_until(lambda: life.agent.books.dropped == {"muted": 1}, "the utterance is dropped")
        assert life.ask(ON) == Reply()
        life.wait_for(ListeningState(on=True))
        life.wait_for(MicrophoneState(connected=True))
        wait_until(lambda: life.rig.record.events, "it hears again")
    assert source.opened == 2
    assert life.agent.books.open == 0
    assert len(life.rig.record.events) == 1
    assert life.told(Availability) == [Availability(online=True)], "muted or not, it is there"


def test_muting_drops_what_waits_to_be_classified_and_what_is_being_classified() -> None:
    gate = threading.Event()

    def slow(_: Utterance) -> Mapping[str, float]:
        gate.wait(PATIENCE_S)
        return {"happy": 1.0}

    source = Radio(speech(*[SPEECH, PAUSE] * 3))
    with Life(Rig(source, FakeClassifier(slow))) as life:
        wait_until(lambda: source.is_silent, "three utterances")
        assert life.agent.books.begun == 3
        life.ask(OFF)
        life.wait_for(ListeningState(on=False))
        gate.set()
    assert life.rig.record.events == []
    assert life.agent.books.dropped["muted"] == 3


def test_wanting_sound_again_at_once_is_heeded_too() -> None:
    source = Radio()
    with Life(Rig(source)) as life:
        wait_until(lambda: source.is_open, "it listens")
        for _ in range(50):
            answers = [life.rig.ask(command) for command in (OFF, ON)]
            assert [answer.get(timeout=PATIENCE_S) for answer in answers] == [Reply(), Reply()]
        wait_until(lambda: source.is_open, "it listens again")
        life.wait_for(ListeningState(on=True))
        assert life.outcome is None
    assert life.outcome is Outcome.STOPPED


def test_a_mute_survives_the_agent_which_is_up_all_the_same() -> None:
    state = StateFile()
    with Life(Rig(Radio(), state=state)) as life:
        life.ask(OFF)
    source = Radio(speech(PAUSE, SPEECH, PAUSE))
    with Life(Rig(source, state=state)) as life:
        wait_until(lambda: life.agent.ready, "it is up")
        life.wait_for(ListeningState(on=False))
        life.wait_for(Availability(online=True))
        assert source.opened == 0
        assert life.ask(HealthCheck()).data["listening"] is False
        life.ask(ON)
        wait_until(lambda: life.rig.record.events, "it hears")
    assert state.read("controls") == {"listening": True}


def test_a_source_that_cannot_be_had_after_a_muted_start_is_tried_again_and_again() -> None:
    state = StateFile()
    state.write("controls", {"listening": False})
    faults = [SourceError("unplugged"), SourceError("still unplugged")]
    source = Radio(speech(PAUSE, SPEECH, PAUSE), open_faults=faults)
    with Life(Rig(source, state=state)) as life:
        wait_until(lambda: life.agent.ready, "it is up")
        life.ask(ON)
        wait_until(lambda: life.rig.record.events, "it hears")
    assert life.fault is None
    assert source.opened == 3


def test_an_agent_whose_source_is_away_can_be_muted() -> None:
    class Unplugged(Radio):
        def frames(self) -> Iterator[AudioFrame]:
            yield from speech(PAUSE)
            raise SourceLost("unplugged")

        def open(self) -> None:
            super().open()
            if self.opened > 1:
                raise SourceError("still unplugged")

    with Life(Rig(Unplugged())) as life:
        life.wait_for(MicrophoneState(connected=False, lost=True))
        life.ask(OFF)
        life.wait_for(ListeningState(on=False))
        opened = life.rig.source.opened  # type: ignore[attr-defined]
        life.ask(HealthCheck())
        assert life.rig.source.opened == opened  # type: ignore[attr-defined]


def test_a_hard_mute_cannot_be_lifted_and_is_told_again() -> None:
    source = Radio()
    with Life(Rig(source, hard_mute=True)) as life:
        life.wait_for(ListeningState(on=False))
        assert life.ask(ON) == Reply(error=HARD_MUTE)
        wait_until(lambda: len(life.told(ListeningState)) == 2, "the state is told again")
        assert life.ask(OFF) == Reply()
    assert source.opened == 0
    assert ListeningState(on=True) not in life.rig.record.messages


def test_a_threshold_applies_at_once_and_survives() -> None:
    state = StateFile()
    source = Radio(speech(PAUSE, SPEECH, PAUSE), speech(PAUSE, SPEECH, PAUSE))
    with Life(Rig(source, min_confidence=0.4, state=state)) as life:
        life.wait_for(ThresholdState(value=0.4))
        wait_until(lambda: life.rig.record.events, "the first event")
        assert life.ask(SetThreshold(0.71)) == Reply()
        life.wait_for(ThresholdState(value=0.71))
        life.ask(OFF)
        life.ask(ON)
        wait_until(lambda: len(life.rig.record.events) == 2, "the second event")
    assert [event.emotion for event in life.rig.record.events] == ["happy", "uncertain"]
    with Life(Rig(Radio(), min_confidence=0.4, state=state)) as life:
        life.wait_for(ThresholdState(value=0.71))


def test_a_threshold_lasts_until_the_configuration_says_something_else() -> None:
    state = StateFile()
    with Life(Rig(Radio(), min_confidence=0.4, state=state)) as life:
        life.ask(SetThreshold(0.71))
    with Life(Rig(Radio(), min_confidence=0.5, state=state)) as life:
        life.wait_for(ThresholdState(value=0.5))


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"listening": "no"}, "listening is neither true nor false"),
        ({"threshold": 2, "instead_of": 0.4}, "threshold is no number from 0 to 1"),
        ({"threshold": True, "instead_of": 0.4}, "threshold is no number from 0 to 1"),
    ],
)
def test_a_remembered_value_that_makes_no_sense_is_told_and_the_default_holds(
    caplog: pytest.LogCaptureFixture, facts: dict[str, object], told: str
) -> None:
    state = StateFile()
    state.write("controls", facts)
    with Life(Rig(Radio(), min_confidence=0.4, state=state)) as life:
        life.wait_for(ThresholdState(value=0.4))
        life.wait_for(ListeningState(on=True))
    assert f"state: {told}, so the default holds" in caplog.text


@pytest.mark.parametrize(
    ("command", "outcome"), [(Reload(), Outcome.RELOAD), (Restart(), Outcome.RESTART)], ids=["reload", "restart"]
)
def test_a_reload_and_a_restart_are_answered_before_the_agent_ends(command: Command, outcome: Outcome) -> None:
    life = Life(Rig(Radio()))
    with life:
        assert life.ask(command) == Reply()
        life.wait()
    assert life.outcome is outcome


@pytest.mark.parametrize("command", [Reload(), Restart()], ids=["reload", "restart"])
def test_a_reload_or_restart_that_something_speaks_against_is_refused_and_the_agent_stays(
    command: Command,
) -> None:
    with Life(Rig(Radio(), objection=lambda _: "line 3: unknown key")) as life:
        assert life.ask(command) == Reply(error="line 3: unknown key")
        assert life.ask(HealthCheck()).error is None
    assert life.outcome is Outcome.STOPPED


def test_a_health_check_tells_how_the_agent_is() -> None:
    with Life(Rig(Radio(speech(PAUSE)))) as life:
        life.wait_for(MicrophoneState(connected=True))
        data = life.ask(HealthCheck()).data
    assert data["healthy"] is True
    assert data["listening"] is True
    assert data["hearing"] is True
    assert data["threshold"] == 0.4
    assert data["version"] == "1"
    assert data["instance"] == life.instance()


def test_who_asks_an_agent_that_is_stopping_is_told_so() -> None:
    rig = Rig(Radio())
    with Life(rig):
        pass
    assert rig.ask(HealthCheck()).get(timeout=PATIENCE_S).error == "the agent is stopping"


def test_each_of_many_requests_is_answered() -> None:
    answers: queue.SimpleQueue[Reply] = queue.SimpleQueue()
    rig = Rig(Radio())
    with Life(rig) as life:
        wait_until(lambda: life.agent.ready or life.rig.source.opened, "it is up")  # type: ignore[attr-defined]
        for _ in range(1000):
            rig.desk.submit(HealthCheck(), answers.put)
    assert len([answers.get(timeout=PATIENCE_S) for _ in range(1000)]) == 1000
