"""What every built-in detector promises, whatever its method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_np
from pydantic import ValidationError
from vads.sounds import CLEAR_SPEECH, NAMES, clip, detector, hiss, probabilities, silence, words

from ser_agent.audio import HOP_SAMPLES
from ser_agent.plugins import available
from ser_agent.testing import check_detector

if TYPE_CHECKING:
    from ser_agent.audio import Samples

EVERY = pytest.mark.parametrize("name", NAMES)
HOPS = st_np.arrays(np.int16, st.tuples(st.integers(1, 12), st.just(HOP_SAMPLES)))


@EVERY
def test_the_port_s_promises_are_kept(name: str) -> None:
    check_detector(detector(name))


@EVERY
def test_the_same_hops_give_the_same_answers_after_reset_whatever_was_heard_before(name: str) -> None:
    speech = clip(CLEAR_SPEECH[0])
    judge = detector(name)
    fresh = probabilities(judge, speech)
    # A length that leaves WebRTC a remainder, and ends while the cascade's gate stands open.
    probabilities(judge, np.concatenate((hiss(1.0), speech[: 37 * HOP_SAMPLES])))
    judge.reset()
    assert probabilities(judge, speech).tolist() == fresh.tolist()


@EVERY
def test_two_detectors_share_no_state(name: str) -> None:
    speech, other = clip(CLEAR_SPEECH[0]), hiss(3.0, amplitude=4000)
    alone = probabilities(detector(name), speech)
    first, second = detector(name), detector(name)
    together = []
    for index in range(len(alone)):
        part = slice(index * HOP_SAMPLES, (index + 1) * HOP_SAMPLES)
        together.append(first.probability(speech[part]))
        second.probability(other[part])
    assert together == alone.tolist()


@EVERY
def test_digital_silence_is_not_speech(name: str) -> None:
    # WebRTC's model starts out undecided and may take the first few hops for speech.
    assert probabilities(detector(name), silence(3.0))[8:].max() < 0.5


@pytest.mark.parametrize("name", ["webrtc", "silero", "cascade"])
@pytest.mark.parametrize("file", CLEAR_SPEECH)
def test_most_of_what_is_said_is_speech(name: str, file: str) -> None:
    speech = clip(file)
    assert np.mean(probabilities(detector(name), speech)[words(speech)] >= 0.5) > 0.6


@EVERY
@settings(max_examples=30, deadline=None)
@given(hops=HOPS)
def test_any_samples_at_all_give_a_probability(name: str, hops: Samples) -> None:
    judge = detector(name)
    assert all(0.0 <= judge.probability(hop) <= 1.0 for hop in hops)


@EVERY
def test_the_hop_is_left_as_it_was(name: str) -> None:
    sound = clip(CLEAR_SPEECH[0])
    sound.setflags(write=False)
    before = sound.tobytes()
    probabilities(detector(name), sound)
    assert sound.tobytes() == before


@EVERY
@pytest.mark.parametrize("keys", ['"threshold": 0.0', '"threshold": 1.5', '"threshold": "0.5"', '"treshold": 0.5'])
def test_options_that_make_no_sense_are_refused(name: str, keys: str) -> None:
    options = available("vads")[name].options
    assert options is not None
    with pytest.raises(ValidationError):
        options.model_validate_json(f'{{"type": "{name}", {keys}}}')


@pytest.mark.parametrize("name", ["webrtc", "cascade"])
@pytest.mark.parametrize("aggressiveness", [-1, 4])
def test_aggressiveness_goes_from_0_to_3(name: str, aggressiveness: int) -> None:
    with pytest.raises(ValidationError):
        detector(name, aggressiveness=aggressiveness)
