from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.tiny_corpora import SPEECH, tiny_corpora, wav

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("audiomentations")

from ser_agent.audio import float_from_pcm16  # noqa: E402 - after the skips
from ser_agent.audio_files import read_utterance  # noqa: E402
from training.cache import Cache, Floats  # noqa: E402
from training.cache_writer import build_cache  # noqa: E402
from training.corpora import Clip, read_clips  # noqa: E402
from training.effects import (  # noqa: E402
    as_mp3,
    as_mulaw,
    as_opus,
    at_level,
    changed_pitch,
    changed_speed,
    clipped,
    in_room,
    on_telephone,
    with_noise,
)
from training.settings import AugmentSettings  # noqa: E402
from training.sound import Augmenter, collate  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RNG = np.random.default_rng(5)
OFF = AugmentSettings(p_trim=0.0, max_s=60.0, speed=0.0, p_room=0.0, p_noise=0.0)
EVERYTHING = AugmentSettings(
    p_pitch=0.5, p_room=0.5, p_level=0.5, p_clip=0.5, p_telephone=0.5, p_mulaw=0.5, p_mp3=0.5, p_opus=0.5
)


def tone(seconds: float, hertz: float = 200.0) -> Floats:
    return np.asarray(0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * 16_000)) / 16_000), np.float32)


def speech() -> Floats:
    return float_from_pcm16(read_utterance(SPEECH[0]))


def power(sound: Floats, low_hz: float = 0.0, high_hz: float = 8_000.0) -> float:
    """Its energy between two frequencies."""
    spectrum = np.abs(np.fft.rfft(sound)) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / 16_000)
    return float(spectrum[(hertz >= low_hz) & (hertz < high_hz)].sum() / len(sound) ** 2)


def loudest_hertz(sound: Floats) -> float:
    return float(np.abs(np.fft.rfft(sound)).argmax() * 16_000 / len(sound))


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cache, Clip]:
    """A cache, and the training clip that is in it."""
    settings = tiny_corpora(tmp_path_factory.mktemp("corpora"))
    silence = np.zeros(16_000, dtype=np.float32)
    a_wav = settings.corpora_folder / "crema-d" / "a.wav"
    wav(a_wav, np.concatenate([silence, speech(), silence]))
    a_wav.replace(a_wav.with_suffix(".opus"))
    build_cache(settings)
    return Cache(settings.cache_folder), read_clips(settings)[0]


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


def test_a_higher_pitch_is_as_long() -> None:
    found = changed_pitch(tone(2.0), 2.0)
    assert len(found) == 32_000
    assert loudest_hertz(found[8_000:24_000]) == pytest.approx(200 * 2 ** (2 / 12), abs=2)


def test_a_room_that_is_only_the_direct_sound_changes_nothing() -> None:
    response = np.zeros(800, dtype=np.float32)
    response[0] = 1.0
    np.testing.assert_allclose(in_room(tone(0.5), response), tone(0.5), atol=1e-5)


def test_a_level_is_kept_and_a_low_one_is_coarse() -> None:
    found = at_level(tone(1.0), -60.0)
    assert 10 * np.log10(np.mean(found**2)) == pytest.approx(-60.0, abs=0.1)
    assert len(np.unique(found)) < 100
    np.testing.assert_array_equal(at_level(np.zeros(100, dtype=np.float32), -20.0), np.zeros(100))


def test_clipping_flattens_the_peaks() -> None:
    found = clipped(speech(), 8.0)
    at_the_limits = np.isin(found, (found.min(), found.max())).mean()
    assert at_the_limits == pytest.approx(0.08, abs=0.01)


def test_a_telephone_keeps_the_middle() -> None:
    noise = RNG.standard_normal(32_000, dtype=np.float32)
    found = on_telephone(noise)
    assert power(found, 600, 3_000) == pytest.approx(power(noise, 600, 3_000), rel=0.05)
    assert power(found, 0, 120) < 0.01 * power(noise, 0, 120)
    assert power(found, 6_000) < 0.03 * power(noise, 6_000)


@pytest.mark.parametrize(
    "coded",
    [as_mulaw, lambda sound: as_mp3(sound, 16), lambda sound: as_mp3(sound, 32), lambda sound: as_opus(sound, 12)],
)
@pytest.mark.parametrize("gain", [1.0, 30.0])
def test_codecs_keep_length_and_place_and_most_of_the_sound(
    coded: Callable[[Floats], Floats], gain: float
) -> None:
    sound = speech()
    found = coded(sound * np.float32(gain))
    assert found.dtype == np.float32
    assert len(found) == len(sound)
    similarity = np.corrcoef(found, sound)[0, 1]
    assert 0.7 < similarity < 0.99999


@pytest.mark.parametrize("length", [1_480, 1_600, 1_601, 3_000])
@pytest.mark.parametrize("coded", [as_mulaw, lambda sound: as_mp3(sound, 16), lambda sound: as_opus(sound, 12)])
def test_codecs_take_short_sounds_of_any_length(coded: Callable[[Floats], Floats], length: int) -> None:
    assert len(coded(tone(1.0)[:length])) == length


def test_with_all_off_a_clip_is_as_it_was(heard: tuple[Cache, Clip]) -> None:
    cache, clip = heard
    found = Augmenter(cache, OFF, np.random.default_rng(1))(clip)
    np.testing.assert_array_equal(found, float_from_pcm16(cache.whole(clip)))


def test_what_was_said_and_how_it_is_heard_are_of_the_same_moments(heard: tuple[Cache, Clip]) -> None:
    cache, clip = heard
    settings = OFF.model_copy(update={"max_s": 1.0, "speed": 0.08, "p_telephone": 1.0})
    said, through = Augmenter(cache, settings, np.random.default_rng(1)).pair(clip)
    undisturbed = Augmenter(cache, settings.model_copy(update={"p_telephone": 0.0}), np.random.default_rng(1))
    np.testing.assert_array_equal(said, undisturbed(clip))
    np.testing.assert_array_equal(through, on_telephone(said))


def test_the_same_seed_gives_the_same_sounds_and_another_one_others(heard: tuple[Cache, Clip]) -> None:
    def sounds(seed: int) -> list[Floats]:
        augment = Augmenter(heard[0], EVERYTHING, np.random.default_rng(seed))
        return [augment(heard[1]) for _ in range(8)]

    first, again, other = sounds(1), sounds(1), sounds(2)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not any(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


def test_everything_together_gives_finite_sound_of_a_bounded_length(heard: tuple[Cache, Clip]) -> None:
    settings = EVERYTHING.model_copy(update={"max_s": 1.0})
    augment = Augmenter(heard[0], settings, np.random.default_rng(4))
    for _ in range(30):
        found = augment(heard[1])
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
        assert 0 < len(found) <= 16_000 / 0.92 + 2


@pytest.mark.parametrize("p_trim", [0.0, 0.3, 1.0])
def test_edges_are_cut_as_often_as_is_asked_for(heard: tuple[Cache, Clip], p_trim: float) -> None:
    cache, clip = heard
    augment = Augmenter(cache, OFF.model_copy(update={"p_trim": p_trim}), np.random.default_rng(1))
    whole = len(cache.whole(clip))
    assert np.mean([len(augment(clip)) < whole for _ in range(300)]) == pytest.approx(p_trim, abs=0.1)


@pytest.mark.parametrize("change", [{"p_room": 1.0}, {"p_level": 1.0}, {"p_clip": 1.0}, {"p_telephone": 1.0}])
def test_each_effect_is_asked_for_alone(heard: tuple[Cache, Clip], change: dict[str, Any]) -> None:
    cache, clip = heard
    found = Augmenter(cache, OFF.model_copy(update=change), np.random.default_rng(1))(clip)
    whole = float_from_pcm16(cache.whole(clip))
    assert len(found) == len(whole)
    assert not np.allclose(found, whole, atol=1e-4)


def test_only_rooms_and_noise_for_training_are_heard(heard: tuple[Cache, Clip]) -> None:
    cache, clip = heard
    whole = float_from_pcm16(cache.whole(clip))
    in_room_a = in_room(whole, cache.rooms("train")[0])
    augment = Augmenter(cache, OFF.model_copy(update={"p_room": 1.0}), np.random.default_rng(1))
    np.testing.assert_allclose(augment(clip), in_room_a, atol=1e-6)


@pytest.mark.parametrize(("non_commercial", "kinds"), [(False, {3}), (True, {2, 3})])
def test_noise_is_what_the_licence_allows_at_the_wanted_ratio(
    heard: tuple[Cache, Clip],
    non_commercial: bool,  # noqa: FBT001
    kinds: set[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache, clip = heard
    mixed: list[tuple[float, float]] = []

    def noted(sound: Floats, noise: Floats, snr_db: float) -> Floats:
        assert len(noise) == len(sound)
        mixed.append((float(noise.mean()), snr_db))
        return with_noise(sound, noise, snr_db)

    monkeypatch.setattr("training.sound.with_noise", noted)
    settings = OFF.model_copy(
        update={"p_noise": 1.0, "non_commercial_noise": non_commercial, "snr_db": (5.0, 9.0)}
    )
    augment = Augmenter(cache, settings, np.random.default_rng(1))
    for _ in range(40):
        augment(clip)
    household = [round(level * 8) for level, _ in mixed if level > 0.05]
    assert set(household) == kinds
    assert 0.4 < len(household) / len(mixed) < 0.9
    assert all(5.0 <= snr_db <= 9.0 for _, snr_db in mixed)


def test_without_noise_and_rooms_in_the_cache_white_noise_remains(tmp_path: Path) -> None:
    settings = tiny_corpora(tmp_path)
    for name in ("noise", "rir"):
        (settings.corpora_folder / name / "manifest.csv").unlink()
    build_cache(settings)
    cache, (clip, _) = Cache(settings.cache_folder), read_clips(settings)
    augment = Augmenter(cache, OFF.model_copy(update={"p_noise": 1.0, "p_room": 1.0}), np.random.default_rng(1))
    added = augment(clip) - float_from_pcm16(cache.whole(clip))
    assert power(added, 4_000) == pytest.approx(power(added, 0, 4_000), rel=0.1)


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="larger than the second"):
        AugmentSettings(snr_db=(30.0, 0.0))
