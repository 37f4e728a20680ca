from __future__ import annotations

import numpy as np
import pytest
import webrtcvad
from vads.sounds import CLEAR_SPEECH, clip, detector, hiss, probabilities, silence

from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE

BLOCK = SAMPLE_RATE // 100
SOUND = np.concatenate((silence(0.4), clip(CLEAR_SPEECH[0]), hiss(1.0, amplitude=2000)))


@pytest.mark.parametrize("aggressiveness", range(4))
def test_the_answers_are_those_of_the_engine_on_consecutive_blocks_of_10_ms(aggressiveness: int) -> None:
    engine = webrtcvad.Vad(aggressiveness)
    blocks = SOUND[: len(SOUND) // BLOCK * BLOCK].reshape(-1, BLOCK)
    voiced = [engine.is_speech(block.tobytes(), SAMPLE_RATE) for block in blocks]
    answers = probabilities(detector("webrtc", aggressiveness=aggressiveness), SOUND)
    ends = (np.arange(len(answers)) + 1) * HOP_SAMPLES // BLOCK
    starts = np.concatenate(([0], ends[:-1]))
    expected = [np.mean(voiced[start:end]) for start, end in zip(starts, ends, strict=True)]
    assert answers.tolist() == pytest.approx(expected)


def test_the_more_aggressive_the_less_is_taken_for_speech() -> None:
    shares = [np.mean(probabilities(detector("webrtc", aggressiveness=mode), SOUND)) for mode in range(4)]
    assert shares == sorted(shares, reverse=True)
    assert shares[3] < shares[0]
