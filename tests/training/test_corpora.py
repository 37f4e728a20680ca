from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from training.corpora import CORPUS_LABELS, LABELS, Clip, allowed_labels, read_manifest, sampling_weights
from training.settings import ROOT, load_settings

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "path,corpus,speaker,emotion,text_id,lang,duration,split\n"


def manifest(folder: Path, *rows: str) -> Path:
    (folder / "manifest.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
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
    with pytest.raises(ValueError, match=r"not to hold out.*'03'"):
        read_manifest(folder, {"ravdess": ["03"]})


def test_a_label_that_the_corpus_lacks_is_an_error(tmp_path: Path) -> None:
    folder = manifest(tmp_path, "c.opus,nemo,TP0,disgust,1,pl,3.0,train")
    with pytest.raises(ValueError, match="nemo has no label 'disgust'"):
        read_manifest(folder, {})


@pytest.mark.corpora
def test_no_speaker_of_the_real_corpora_is_in_two_parts(corpora: Path) -> None:
    settings = load_settings(ROOT / "training" / "first.yaml")
    clips = read_manifest(corpora, settings.held_out)
    parts: dict[tuple[str, str], set[str]] = {}
    for clip in clips:
        parts.setdefault((clip.corpus, clip.speaker), set()).add(clip.part)
    assert all(len(found) == 1 for found in parts.values())
    for corpus in CORPUS_LABELS:
        assert {part for (name, _), found in parts.items() if name == corpus for part in found} == {
            "train",
            "held",
            "dev",
        }


def test_a_corpus_allows_its_own_labels_alone() -> None:
    allowed = allowed_labels("crema-d")
    assert [label for label, is_allowed in zip(LABELS, allowed, strict=True) if not is_allowed] == ["surprise"]


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
