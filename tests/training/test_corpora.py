from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from training.corpora import (
    CORPUS_LABELS,
    LABELS,
    MODEL_LABELS,
    NON_SPEECH,
    Clip,
    CorpusError,
    CrowdVotes,
    allowed_labels,
    read_clips,
    read_manifest,
    read_noises,
    read_plain_speech,
    read_rooms,
    recordings,
    sampling_weights,
)
from training.settings import ROOT, Settings, load_settings
from training.splits import is_dev_room

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "path,corpus,speaker,emotion,text_id,lang,duration,split\n"


def manifest(folder: Path, *rows: str, header: str = HEADER) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.csv").write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Manifests of every kind, without any sound."""
    folder = manifest(
        tmp_path / "corpora",
        "a.opus,crema-d,1002,sad,1,en,3.0,train",
        "b.opus,ravdess,05,angry,1,en,3.0,train",
        "c.opus,ravdess,03,angry,1,en,3.0,dev",
    )
    manifest(
        folder / "plain-speech",
        "103/a.opus,clean,103,F,9.0",
        "26/a.opus,clean,26,F,9.0",
        header="path,set,speaker,sex,duration_s\n",
    )
    manifest(
        folder / "noise",
        "esc10/dog/a.opus,esc10,dog,5,-20,CC-BY-3.0",
        "esc10/rain/b.opus,esc10,rain,5,-20,CC-BY-3.0",
        "esc50/wind/c.opus,esc50,wind,5,-20,CC-BY-NC-3.0",
        "blanket/wind/d.opus,blanket,wind,5,-20,CC0-1.0",
        "blanket/cafe-babble/e.opus,blanket,cafe-babble,5,-20,Public Domain",
        header="path,set,class,duration_s,rms_dbfs,licence\n",
    )
    manifest(
        folder / "rir",
        "a.flac,iosr,room-a,1,0.3,MIT",
        "b.flac,iosr,room-b,1,0.6,MIT",
        "w.flac,webaudio-warehouse,warehouse,3,2.5,Apache-2.0",
        header="path,set,room,duration_s,rt60_est_s,licence\n",
    )
    return folder


def test_calm_counts_as_neutral_and_a_held_out_speaker_leaves_the_training_part(tmp_path: Path) -> None:
    folder = manifest(
        tmp_path,
        "a.opus,ravdess,05,calm,1,en,3.0,train",
        "b.opus,ravdess,06,surprise,1,en,3.0,train",
        "c.opus,ravdess,03,sad,1,en,3.0,dev",
    )
    clips = read_manifest(folder, {"ravdess": ["06"]})
    assert [(clip.emotion, clip.part) for clip in clips] == [
        ("neutral", "train"),
        ("surprise", "held"),
        ("sad", "dev"),
    ]


def test_a_dev_speaker_can_not_be_held_out_for_choosing(tmp_path: Path) -> None:
    folder = manifest(tmp_path, "c.opus,ravdess,03,sad,1,en,3.0,dev")
    with pytest.raises(CorpusError, match=r"not to hold out.*'03'"):
        read_manifest(folder, {"ravdess": ["03"]})


def test_a_label_that_the_corpus_lacks_is_an_error_that_names_the_line(tmp_path: Path) -> None:
    folder = manifest(tmp_path, "c.opus,nemo,TP0,disgust,1,pl,3.0,train")
    with pytest.raises(CorpusError, match=r"manifest\.csv:2: emotion: nemo has no label 'disgust'"):
        read_manifest(folder, {})


def test_a_manifest_without_a_column_says_which(tmp_path: Path) -> None:
    folder = manifest(tmp_path, "c.opus,nemo", header="path,corpus\n")
    with pytest.raises(CorpusError, match=r"manifest\.csv:1: lacks the columns speaker, emotion, lang, split"):
        read_manifest(folder, {})


@pytest.mark.corpora
def test_no_speaker_of_the_real_corpora_is_in_two_parts(corpora: Path) -> None:
    settings = load_settings(ROOT / "training" / "settled.yaml")
    clips = read_manifest(corpora, settings.held_out)
    parts: dict[tuple[str, str], set[str]] = {}
    for clip in [*clips, *read_plain_speech(corpora)]:
        parts.setdefault((clip.corpus, clip.speaker), set()).add(clip.part)
    assert all(len(found) == 1 for found in parts.values())
    for corpus in CORPUS_LABELS:
        assert {part for (name, _), found in parts.items() if name == corpus for part in found} == {
            "train",
            "held",
            "dev",
        }


@pytest.mark.corpora
def test_both_parts_have_noises_and_rooms_and_no_part_the_warehouse(corpora: Path) -> None:
    assert {noise.part for noise in read_noises(corpora)} == {"train", "dev"}
    rooms = {room.room for room in read_rooms(corpora)}
    assert {is_dev_room(room) for room in rooms} == {True, False}
    assert "warehouse" not in rooms


def test_an_experiment_hears_the_corpora_that_it_names(published: Path) -> None:
    settings = Settings(corpora=published, use=("ravdess", "plain-speech", "noise"))
    clips = read_clips(settings)
    assert [(clip.corpus, clip.path, clip.emotion, clip.part) for clip in clips] == [
        ("ravdess", "b.opus", "angry", "train"),
        ("ravdess", "c.opus", "angry", "dev"),
        ("plain-speech", "plain-speech/103/a.opus", "neutral", "train"),
        ("plain-speech", "plain-speech/26/a.opus", "neutral", "dev"),
        ("noise", "noise/esc10/dog/a.opus", NON_SPEECH, "dev"),
        ("noise", "noise/esc10/rain/b.opus", NON_SPEECH, "dev"),
        ("noise", "noise/esc50/wind/c.opus", NON_SPEECH, "train"),
        ("noise", "noise/blanket/wind/d.opus", NON_SPEECH, "train"),
    ]


def test_where_weights_shall_be_sold_nothing_non_commercial_is_heard(published: Path) -> None:
    everything = ("crema-d", "ravdess", "nemo", "plain-speech", "noise")
    heard = read_clips(Settings(corpora=published, use=everything, commercial=True))
    assert {clip.licence for clip in heard} == {"ODbL-1.0", "CC-BY-4.0", "CC-BY-3.0", "CC0-1.0"}


def test_a_speaker_of_any_corpus_can_be_held_out_and_a_stranger_is_an_error(published: Path) -> None:
    settings = Settings(corpora=published, use=("plain-speech",), held_out={"plain-speech": ("103",)})
    assert [clip.part for clip in read_clips(settings)] == ["held", "dev"]
    with pytest.raises(CorpusError, match=r"held_out: .*not to hold out.*'104'"):
        read_clips(settings.model_copy(update={"held_out": {"plain-speech": ("104",)}}))


def test_without_corpora_and_own_clips_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"manifest\.csv: is not there; .* --corpora, or name --data"):
        read_clips(Settings(corpora=tmp_path))


def test_plain_speech_and_noise_that_are_asked_for_must_be_there(tmp_path: Path) -> None:
    folder = manifest(tmp_path, "a.opus,crema-d,1002,sad,1,en,3.0,train")
    assert len(read_clips(Settings(corpora=folder))) == 1
    with pytest.raises(CorpusError, match=r"plain-speech/manifest\.csv: is not there"):
        read_clips(Settings(corpora=folder, use=("crema-d", "plain-speech")))


def test_what_is_decoded_is_everything_once_and_dev_speech_gets_the_better_edges(published: Path) -> None:
    found = recordings(Settings(corpora=published, use=("crema-d",)))
    assert Counter(recording.kind for recording in found) == {"room": 2, "noise": 5, "speech": 5}
    assert len({recording.path for recording in found}) == len(found)
    assert {recording.path for recording in found if recording.edges == "silero"} == {
        "c.opus",
        "plain-speech/26/a.opus",
    }


def test_a_corpus_allows_its_own_labels_alone_and_always_that_it_is_no_speech(published: Path) -> None:
    allowed = allowed_labels("crema-d")
    assert [label for label, is_allowed in zip(LABELS, allowed, strict=True) if not is_allowed] == ["surprise"]
    clips = {
        clip.corpus: clip for clip in read_clips(Settings(corpora=published, use=("crema-d", "plain-speech")))
    }
    assert clips["crema-d"].allowed() == allowed
    assert clips["crema-d"].allowed(MODEL_LABELS) == [*allowed, True]
    assert all(clips["plain-speech"].allowed(MODEL_LABELS))


def test_noise_is_the_label_behind_the_emotions() -> None:
    assert Clip("a", "noise", "dog", NON_SPEECH, "train").label == len(LABELS)
    assert Clip("a", "nemo", "A", "angry", "train").label == LABELS.index("angry")


def test_sampling_is_balanced_over_corpora_and_over_the_labels_in_each() -> None:
    clips = [Clip(f"{i}", "crema-d", "1", "sad", "train") for i in range(30)]
    clips += [Clip(f"{i}", "crema-d", "1", "happy", "train") for i in range(10)]
    clips += [Clip(f"{i}", "nemo", "A", "angry", "train") for i in range(5)]
    drawn: Counter[tuple[str, str]] = Counter()
    for clip, weight in zip(clips, sampling_weights(clips), strict=True):
        drawn[clip.corpus, clip.emotion] += weight  # type: ignore[assignment]
    assert drawn["crema-d", "sad"] == pytest.approx(0.25)
    assert drawn["crema-d", "happy"] == pytest.approx(0.25)
    assert drawn["nemo", "angry"] == pytest.approx(0.5)


def test_a_corpus_with_a_share_of_three_is_drawn_three_times_as_often() -> None:
    clips = [Clip("a", "nemo", "A", "sad", "train"), Clip("b", "mine", "B", "sad", "train")]
    assert sampling_weights(clips, {"mine": 3.0}) == pytest.approx([0.25, 0.75])


def test_votes_are_the_shares_of_those_who_chose_each_emotion(tmp_path: Path) -> None:
    (tmp_path / "crema-d").mkdir()
    (tmp_path / "crema-d" / "votes.csv").write_text(
        "clip,speaker,acted,angry,disgust,fear,happy,neutral,sad,total\n"
        "1002_DFA_ANG_XX,1002,angry,6,2,0,0,0,0,8\n1002_DFA_SAD_XX,1002,sad,0,0,0,0,0,0,0\n"
    )
    votes = CrowdVotes(tmp_path)
    found = votes.of(Clip("crema-d/1002/1002_DFA_ANG_XX.opus", "crema-d", "1002", "angry", "train"))
    assert found is not None
    np.testing.assert_allclose(found, [0.75, 0.25, 0, 0, 0, 0, 0])
    assert votes.of(Clip("crema-d/1002/1002_DFA_SAD_XX.opus", "crema-d", "1002", "sad", "train")) is None
    assert votes.of(Clip("ravdess/05/1002_DFA_ANG_XX.opus", "ravdess", "05", "angry", "train")) is None


@pytest.mark.corpora
def test_every_clip_of_the_real_crema_d_has_votes_and_they_tell_something(corpora: Path) -> None:
    votes = CrowdVotes(corpora)
    found = {clip: votes.of(clip) for clip in read_manifest(corpora, {}) if clip.corpus == "crema-d"}
    agreed = [clip.label == shares.argmax() for clip, shares in found.items() if shares is not None]
    assert len(agreed) == len(found)
    assert 0.35 < np.mean(agreed) < 0.55
