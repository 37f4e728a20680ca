from __future__ import annotations

import numpy as np
import pytest
from vads.sounds import CLEAR_SPEECH, clip, detector, hiss, probabilities, words

from ser_agent.audio import HOP_SAMPLES


def over_a_background(gain_db: float, **keys: float) -> float:
    """The answer for one hop so much louder than two seconds of hiss before it."""
    judge = detector("energy", **keys)
    probabilities(judge, hiss(2.0, amplitude=100))
    burst = hiss(2.0, amplitude=100 * 10 ** (gain_db / 20))[:HOP_SAMPLES]
    return judge.probability(burst)


def test_the_louder_above_the_background_the_likelier() -> None:
    answers = [over_a_background(gain_db) for gain_db in range(0, 40, 5)]
    assert answers == sorted(answers)
    assert answers[0] < 0.1
    assert answers[-1] > 0.9


@pytest.mark.parametrize("margin_db", [6.0, 10.0, 20.0])
def test_at_the_margin_it_is_undecided(margin_db: float) -> None:
    # The floor is the least smoothed level: a little below the background's mean.
    assert over_a_background(margin_db - 2, margin_db=margin_db) < 0.5
    assert over_a_background(margin_db + 2, margin_db=margin_db) > 0.5


def test_a_noise_that_stays_becomes_the_background_within_seconds() -> None:
    judge = detector("energy")
    probabilities(judge, hiss(2.0, amplitude=30))
    fan = probabilities(judge, hiss(8.0, amplitude=1000))
    assert np.all(fan[:30] > 0.5)
    assert np.all(fan[-60:] < 0.5)


@pytest.mark.parametrize("file", CLEAR_SPEECH)
def test_what_is_said_stands_out_of_its_surroundings(file: str) -> None:
    speech = clip(file)
    said, answers = words(speech), probabilities(detector("energy"), speech)
    assert np.mean(answers[said]) > 2 * np.mean(answers[~said])
