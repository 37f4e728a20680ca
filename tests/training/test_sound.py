from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from training.cache import speech_by_level  # noqa: E402 - after the skips
from training.sound import changed_speed, collate, in_room, with_noise  # noqa: E402

RNG = np.random.default_rng(5)


def tone(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.sin(2 * np.pi * 200 * np.arange(round(seconds * 16_000), dtype=np.float32) / 16_000)


def test_a_batch_is_what_the_feature_extractor_of_the_checkpoint_makes() -> None:
    sounds = [RNG.standard_normal(n, dtype=np.float32) * 0.1 + 0.02 for n in (16_000, 9_000)]
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True, do_normalize=True)
    theirs = extractor(sounds, sampling_rate=16_000, padding=True, return_tensors="np")
    values, mask = collate(sounds)
    np.testing.assert_allclose(values.numpy(), theirs["input_values"], atol=1e-5)
    np.testing.assert_array_equal(mask.numpy(), theirs["attention_mask"])


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
def test_noise_comes_at_the_wanted_ratio(snr_db: float) -> None:
    sound = tone(1.0)
    added = with_noise(sound, RNG.standard_normal(len(sound), dtype=np.float32), snr_db) - sound
    assert 10 * np.log10(np.mean(sound**2) / np.mean(added**2)) == pytest.approx(snr_db, abs=0.1)


def test_silent_noise_changes_nothing() -> None:
    sound = tone(0.1)
    np.testing.assert_array_equal(with_noise(sound, np.zeros_like(sound), 10.0), sound)


def test_faster_speech_is_shorter() -> None:
    assert len(changed_speed(tone(1.0), 1.08)) == pytest.approx(16_000 / 1.08, abs=2)


def test_a_room_that_is_only_the_direct_sound_changes_nothing() -> None:
    response = np.zeros(800, dtype=np.float32)
    response[0] = 1.0
    np.testing.assert_allclose(in_room(tone(0.5), response), tone(0.5), atol=1e-5)


def test_speech_is_found_between_silences() -> None:
    silence = np.zeros(16_000, dtype=np.int16)
    speech = (tone(1.0) * 8_000).astype(np.int16)
    start, end = speech_by_level(np.concatenate([silence, speech, silence]))
    assert start == pytest.approx(16_000, abs=512)
    assert end == pytest.approx(32_000, abs=512)
