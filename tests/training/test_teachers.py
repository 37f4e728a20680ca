"""Teachers on a frozen Whisper encoder: their states are Whisper's own, and nobody answers for whom they heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.tiny_corpora import tiny_corpora

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from training import settings as settings_module  # noqa: E402 - after the skips
from training.batches import Advice, Batches  # noqa: E402
from training.cache_writer import build_cache  # noqa: E402
from training.corpora import MODEL_LABELS, Clip, CorpusError  # noqa: E402
from training.settings import FinetuneSettings, Settings, TeacherSettings  # noqa: E402
from training.teachers import TeachersAnswers, folds_of, out_of_fold, teach  # noqa: E402
from training.whisper import WhisperPooler  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN = 16
EMOTIONS = ("angry", "happy", "neutral", "sad")
QUICK = TeacherSettings(folds=3, members=1, steps=150, batch_size=16, hidden=16, dropout=0.1)
RNG = np.random.default_rng(5)


@pytest.fixture
def encoder(tmp_path: Path) -> Any:  # noqa: ANN401 - transformers' class
    """A tiny Whisper encoder, kept in ``teacher``."""
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        d_model=HIDDEN, encoder_layers=2, encoder_attention_heads=2, encoder_ffn_dim=32, num_mel_bins=80
    )
    made = transformers.models.whisper.modeling_whisper.WhisperEncoder(config).eval()
    made.save_pretrained(tmp_path / "teacher")
    return made


def test_the_pooled_states_are_those_of_whispers_own_encoder(encoder: Any, tmp_path: Path) -> None:  # noqa: ANN401
    sound = RNG.standard_normal(30 * 16_000).astype(np.float32)
    level = np.float32(0.042 / sound.std())
    extractor = transformers.WhisperFeatureExtractor(feature_size=80)
    mel = extractor((sound - sound.mean()) * level, sampling_rate=16_000, return_tensors="pt").input_features
    with torch.inference_mode():
        own = encoder(mel, output_hidden_states=True)
    states = [*own.hidden_states[:-1], own.last_hidden_state]
    wanted = torch.cat([torch.cat((some[0].mean(0), some[0].std(0, correction=0))) for some in states])
    np.testing.assert_allclose(WhisperPooler(tmp_path / "teacher")(sound), wanted.numpy(), atol=2e-3)


def people(speakers: int, clips: int) -> list[Clip]:
    return [
        Clip(f"{person}/{number}", "ravdess", f"{person:02}", EMOTIONS[number % 4], "train")
        for person in range(speakers)
        for number in range(clips)
    ]


def test_a_speaker_is_in_one_fold_and_every_fold_has_some() -> None:
    clips = people(7, 4)
    fold = folds_of(clips, 3)
    assert set(fold) == {0, 1, 2}
    for person in range(7):
        assert len({fold[row] for row, clip in enumerate(clips) if clip.speaker == f"{person:02}"}) == 1


def test_one_speaker_cannot_be_answered_for() -> None:
    with pytest.raises(CorpusError, match="two at least"):
        folds_of(people(1, 4), 3)


def test_teachers_hear_in_strangers_what_all_people_share() -> None:
    clips = people(6, 20)
    common = {emotion: RNG.normal(size=12) * 3 for emotion in EMOTIONS}
    features = np.stack([common[clip.emotion] + 0.5 * RNG.normal(size=12) for clip in clips]).astype(np.float32)
    answers = out_of_fold(features, clips, Settings(teachers=QUICK))
    assert (answers.argmax(axis=1) == [clip.label for clip in clips]).mean() > 0.9
    np.testing.assert_allclose(answers.sum(axis=1), 1.0)


def test_teachers_know_nothing_of_what_only_the_speaker_himself_could_have_told() -> None:
    clips = people(6, 20)
    # Each person says each emotion in a way of their own: nothing can be learned from the others.
    own = {(clip.speaker, clip.emotion): RNG.normal(size=12) * 3 for clip in clips}
    features = np.stack([own[clip.speaker, clip.emotion] for clip in clips]).astype(np.float32)
    answers = out_of_fold(features, clips, Settings(teachers=QUICK))
    assert (answers.argmax(axis=1) == [clip.label for clip in clips]).mean() < 0.6


@pytest.mark.usefixtures("encoder")
def test_what_the_teachers_hear_is_kept_for_clips_of_acted_emotion_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings_module, "ROOT", tmp_path)
    made = tiny_corpora(tmp_path)
    # Both of the clips are to train on: a second speaker is needed.
    manifest = made.corpora / "manifest.csv"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("1001,sad,1,en,3.0,dev", "1003,angry,1,en,3.0,train"), encoding="utf-8")
    settings = made.model_copy(
        update={"teacher": tmp_path / "teacher", "use": ("crema-d", "noise"), "threads": 1, "teachers": QUICK}
    )
    build_cache(settings)
    teach(settings)
    kept = TeachersAnswers(settings.teachers_file)
    choices = (*MODEL_LABELS[:6], "noise")
    answer = kept.of(Clip("crema-d/a.opus", "crema-d", "1002", "sad", "train", choices=choices))
    assert answer is not None
    assert answer.shape == (7,)
    assert answer.sum() == pytest.approx(1.0)
    assert answer[6] == 0.0  # CREMA-D has no surprise
    assert kept.of(Clip("noise/esc50/wind/n.wav", "noise", "wind", "noise", "train")) is None
    others = settings.model_copy(update={"teachers": QUICK.model_copy(update={"corpora": ("ravdess",)})})
    teach(others)
    assert (
        TeachersAnswers(settings.teachers_file).of(Clip("crema-d/a.opus", "crema-d", "1002", "sad", "train"))
        is None
    )


def test_without_teachers_one_is_told_to_ask_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="python -m training teach"):
        TeachersAnswers(tmp_path / "teachers.npz")


class _OneLook:
    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        return np.ones((20, HIDDEN), np.float32)


def test_an_adviser_has_a_share_in_the_target_of_what_they_know() -> None:
    clips = [Clip("known", "ravdess", "01", "sad", "train"), Clip("unknown", "ravdess", "01", "angry", "train")]
    advice = np.eye(7)[1] * 0.25 + np.eye(7)[5] * 0.75
    adviser = Advice(lambda clip: advice if clip.path == "known" else None, 0.4)
    goal = FinetuneSettings(batch_size=40, p_mixup=0.0, p_mask=0.0)
    settings = Settings(finetune=goal, label_smoothing=0.0)
    looks: Any = [_OneLook()]
    targets = Batches(clips, looks, settings, [adviser], RNG).draw().targets
    sad = targets[targets[:, 5] > 0]
    np.testing.assert_allclose(sad[0].numpy(), np.eye(8)[1] * 0.1 + np.eye(8)[5] * 0.9, rtol=1e-6)
    angry = targets[targets[:, 5] == 0]
    np.testing.assert_allclose(angry[0].numpy(), np.eye(8)[0])
