"""Trainings without a corpus, and in folds by actor: nobody is judged by a training that heard them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from support.tiny_corpora import SPEECH, tiny_corpora
from support.tiny_model import tiny_model

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from training import elsewhere  # noqa: E402 - after the skips
from training import settings as settings_module  # noqa: E402
from training.cache_writer import build_cache  # noqa: E402
from training.corpora import CorpusError  # noqa: E402
from training.finetune import learn  # noqa: E402
from training.settings import ElsewhereSettings, FinetuneSettings, HeadSettings, Settings  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.corpora import Clip
    from training.states import States

ROWS = (
    ("crema-d", "1002", "sad", "train"),
    ("crema-d", "1003", "angry", "train"),
    ("crema-d", "1004", "angry", "train"),
    ("crema-d", "1001", "sad", "dev"),
    ("ravdess", "05", "sad", "train"),
    ("ravdess", "06", "angry", "train"),
    ("ravdess", "03", "sad", "dev"),
    ("ravdess", "04", "angry", "dev"),
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two corpora of four people each, and a tiny start; runs and results are kept in the test's folder."""
    monkeypatch.setattr(settings_module, "ROOT", tmp_path)
    monkeypatch.setattr("training.bootstrap.RESAMPLES", 20)
    tiny_model().wav2vec2.save_pretrained(tmp_path / "start")
    made = tiny_corpora(tmp_path)
    lines = ["path,corpus,speaker,emotion,text_id,lang,duration,split\n"]
    for number, (corpus, speaker, emotion, split) in enumerate(ROWS):
        path = made.corpora / corpus / f"{speaker}.opus"
        path.parent.mkdir(exist_ok=True)
        shutil.copy(SPEECH[number % len(SPEECH)], path)
        lines.append(f"{corpus}/{path.name},{corpus},{speaker},{emotion},1,en,3.0,{split}\n")
    (made.corpora / "manifest.csv").write_text("".join(lines), encoding="utf-8")
    update = {
        "use": ("crema-d", "ravdess", "noise"),
        "held_out": {"crema-d": ("1004",), "ravdess": ("06",)},
        "threads": 1,
        "head": HeadSettings(steps=4, batch_size=4),
        "finetune": FinetuneSettings(steps=90, batch_size=4),
        "elsewhere": ElsewhereSettings(start_from=tmp_path / "start", frozen_layers=2, steps=2, folds=2),
    }
    ready = made.model_copy(update=update)
    build_cache(ready)
    return ready


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[set[tuple[str, str]]]:
    """Whom each training has heard."""
    found: list[set[tuple[str, str]]] = []

    def listening(settings: Settings, clips: Sequence[Clip], looks: Sequence[States]) -> None:
        found.append({(clip.corpus, clip.speaker) for clip in clips if clip.corpus != "noise"})
        learn(settings, clips, looks)

    monkeypatch.setattr("training.elsewhere.learn", listening)
    return found


def test_a_corpus_is_judged_by_a_training_that_heard_others_alone(
    settings: Settings, heard: list[set[tuple[str, str]]]
) -> None:
    elsewhere.abroad(settings, ["ravdess"])
    elsewhere.abroad(settings, ["crema-d"])  # What was kept of the first stays.
    assert heard == [{("crema-d", "1002"), ("crema-d", "1003")}, {("ravdess", "05")}]
    results = _results(settings)["leave_one_out"]
    assert {corpus: found["clips"] for corpus, found in results.items()} == {"crema-d": 1, "ravdess": 2}
    assert results["ravdess"]["training"]["steps"] == 2
    assert 0.0 <= results["ravdess"]["uar"] <= 1.0


def test_every_actor_is_answered_for_once_and_by_strangers(
    settings: Settings, heard: list[set[tuple[str, str]]]
) -> None:
    elsewhere.folds(settings)
    english = {("crema-d", "1002"), ("crema-d", "1003")}
    assert heard == [
        english | {("ravdess", "04"), ("ravdess", "06")},
        english | {("ravdess", "03"), ("ravdess", "05")},
    ]
    found = _results(settings)["ravdess_folds"]
    assert (found["clips"], found["speakers"]) == (4, 4)


def test_only_what_is_used_can_be_left_out_or_divided(settings: Settings) -> None:
    english = settings.model_copy(update={"use": ("crema-d",)})
    with pytest.raises(CorpusError, match="nemo: the experiment does not use it"):
        elsewhere.abroad(english, ["nemo"])
    with pytest.raises(CorpusError, match="ravdess: the experiment does not use it"):
        elsewhere.folds(english)


def _results(settings: Settings) -> Any:  # noqa: ANN401 - JSON
    return json.loads(settings.results_file.read_text(encoding="utf-8"))
