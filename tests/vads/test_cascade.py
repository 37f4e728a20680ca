from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from vads.sounds import CLEAR_SPEECH, clip, detector, hiss, hops_of, probabilities, silence

from ser_agent.testing import context
from ser_agent.vads.cascade import GATE_HOLD_HOPS, LOOK_BACK_HOPS, CascadeOptions, CascadeVad

if TYPE_CHECKING:
    from ser_agent.audio import Samples
    from ser_agent.ports import VoiceActivityDetector


class Scripted:
    """A detector that answers as it was told, keeps what it heard, and how often it was reset."""

    def __init__(self, answers: list[float] | None = None) -> None:
        self.heard: list[int] = []
        self.resets = 0
        self._answers = iter(answers or [])

    def probability(self, hop: Samples) -> float:
        self.heard.append(int(hop[0]))
        return next(self._answers, 0.75)

    def reset(self) -> None:
        self.resets += 1


def cascade(gate: VoiceActivityDetector, network: VoiceActivityDetector) -> CascadeVad:
    made = CascadeVad(CascadeOptions(), context())
    made._gate = gate  # type: ignore[assignment]
    made._silero = network  # type: ignore[assignment]
    return made


def numbered(count: int) -> list[Samples]:
    return [np.full(512, number, dtype=np.int16) for number in range(count)]


def test_while_the_gate_is_shut_the_network_hears_nothing_and_the_answer_is_0() -> None:
    network = Scripted()
    judge = cascade(Scripted([0.0] * 50), network)
    assert [judge.probability(hop) for hop in numbered(50)] == [0.0] * 50
    assert network.heard == []


def test_when_the_gate_opens_the_network_first_hears_the_hops_it_missed() -> None:
    network = Scripted()
    judge = cascade(Scripted([0.0] * 20 + [1.0]), network)
    answers = [judge.probability(hop) for hop in numbered(21)]
    assert network.heard == list(range(20 - LOOK_BACK_HOPS, 21))
    assert network.resets == 1
    assert answers[-1] == 0.75


def test_an_open_gate_hands_every_hop_to_the_network_until_it_has_been_quiet_for_the_hold() -> None:
    network = Scripted()
    judge = cascade(Scripted([1.0] + [0.0] * (2 * GATE_HOLD_HOPS)), network)
    answers = [judge.probability(hop) for hop in numbered(2 * GATE_HOLD_HOPS + 1)]
    assert network.heard == list(range(GATE_HOLD_HOPS))
    assert answers == [0.75] * GATE_HOLD_HOPS + [0.0] * (GATE_HOLD_HOPS + 1)


def test_a_short_pause_neither_resets_the_network_nor_hides_anything_from_it() -> None:
    pause = GATE_HOLD_HOPS - 1
    network = Scripted()
    judge = cascade(Scripted([1.0] + [0.0] * pause + [1.0]), network)
    for hop in numbered(pause + 2):
        judge.probability(hop)
    assert network.heard == list(range(pause + 2))
    assert network.resets == 1


def test_no_hop_is_heard_twice_when_the_gate_opens_again() -> None:
    shut = GATE_HOLD_HOPS + 3
    network = Scripted()
    judge = cascade(Scripted([1.0] + [0.0] * shut + [1.0]), network)
    for hop in numbered(shut + 2):
        judge.probability(hop)
    assert network.heard == list(range(shut + 2))
    assert network.resets == 2


@pytest.mark.parametrize("file", CLEAR_SPEECH)
def test_on_speech_it_answers_like_the_network_alone(file: str) -> None:
    sound = np.concatenate((silence(2.0), clip(file), silence(2.0)))
    alone, gated = (probabilities(detector(name), sound) >= 0.5 for name in ("silero", "cascade"))
    assert np.mean(alone == gated) > 0.97


def test_in_silence_and_steady_noise_the_network_rests() -> None:
    judge = detector("cascade")
    assert isinstance(judge, CascadeVad)
    network = judge._silero = Scripted()  # type: ignore[assignment]
    for sound in (silence(20.0), hiss(20.0, amplitude=10)):
        probabilities(judge, sound)
    assert len(network.heard) < 0.1 * len(hops_of(silence(40.0)))
