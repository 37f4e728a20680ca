"""A whole evaluation, from sound to report, with real speech in corpora of a few clips."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

for module in ("torch", "transformers", "audmetric", "torchmetrics", "matplotlib"):
    pytest.importorskip(module)

import yaml  # noqa: E402 - after the skips
from support.checkpoints import CheckpointBuilder, edit_json  # noqa: E402
from support.small_corpora import make_corpora  # noqa: E402

from training.cache_writer import build_cache  # noqa: E402
from training.card import model_card  # noqa: E402
from training.conditions import DISTURBED, conditions  # noqa: E402
from training.corpora import LABELS  # noqa: E402
from training.evaluate import evaluate  # noqa: E402
from training.predictions import load_predictions, predict  # noqa: E402
from training.report import report  # noqa: E402
from training.results import load_results  # noqa: E402
from training.settings import Settings  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from training.conditions import Condition

pytestmark = pytest.mark.model

OUTPUTS = ("noise", *reversed(LABELS))
TOLD = {
    "revision": 2,
    "licence": "CC-BY-NC-SA-4.0",
    "languages": ["en", "pl"],
    "calibration": {"temperature": 2.0, "power": 0.8},
    "prior": {"home": {label: 94.0 if label == "neutral" else 1.0 for label in LABELS}},
    "uncertain_below": 0.2,
    "non_speech": ["noise"],
}
NAMES = ["whole", "trimmed", *DISTURBED, "shouts", "plain", "noise", "noise-utterances"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.settings.ROOT", folder)
        patch.setattr("training.bootstrap.RESAMPLES", 20)
        yield folder


@pytest.fixture(scope="module")
def settings(root: Path) -> Settings:
    made = Settings(name="tiny", corpora=make_corpora(root / "corpora"), threads=1)
    build_cache(made)
    return made


@pytest.fixture(scope="module")
def checkpoint(root: Path) -> Path:
    return CheckpointBuilder(root).raw(labels=OUTPUTS, ser_agent=TOLD)


@pytest.fixture(scope="module")
def results(settings: Settings, checkpoint: Path) -> dict[str, Any]:
    evaluate(settings, model=checkpoint)
    return load_results(settings)


@pytest.fixture(scope="module")
def sounds(settings: Settings) -> dict[str, Condition]:
    return {condition.name: condition for condition in conditions(settings)}


def test_every_condition_is_classified(results: dict[str, Any], settings: Settings) -> None:
    assert results["model"]["temperature"] == 2.0
    for name in NAMES:
        assert load_predictions(settings.predictions_folder, name).logits.shape[1] == len(OUTPUTS)


def test_logits_are_in_the_order_of_the_vocabulary_whatever_the_checkpoints_is(
    results: dict[str, Any], settings: Settings, checkpoint: Path, sounds: dict[str, Condition]
) -> None:
    import torch  # noqa: PLC0415 - after the skips
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification  # noqa: PLC0415

    model = AutoModelForAudioClassification.from_pretrained(checkpoint).eval()
    extractor = AutoFeatureExtractor.from_pretrained(checkpoint)
    kept = load_predictions(settings.predictions_folder, "whole")
    for row in (0, 5):
        inputs = extractor(sounds["whole"].sound(row), sampling_rate=16_000, return_tensors="pt")
        with torch.inference_mode():
            raw = model(**inputs).logits[0].tolist()
        by_name = dict(zip(OUTPUTS, raw, strict=True))
        np.testing.assert_allclose(kept.logits[row], [by_name[label] for label in (*LABELS, "noise")], atol=1e-4)


def test_what_was_classified_is_not_classified_again_unless_the_weights_are_others(
    results: dict[str, Any], settings: Settings, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classified: list[str] = []

    def logits(_: object, condition: Condition) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        classified.append(condition.name)
        return np.zeros((len(condition.ids), len(OUTPUTS)), dtype=np.float32)

    monkeypatch.setattr("training.predictions.Checkpoint.logits", logits)
    evaluate(settings, model=checkpoint)
    assert classified == []
    other = CheckpointBuilder(checkpoint.parent).raw(labels=OUTPUTS, ser_agent=TOLD)
    weights = {name: 1.5 * value for name, value in CheckpointBuilder.weights(other).items()}
    CheckpointBuilder.save_weights(other, weights)
    trial = settings.model_copy(update={"name": "other"})
    evaluate(trial, model=checkpoint)
    classified.clear()
    evaluate(trial, model=other)
    assert classified == NAMES


def test_sounds_that_have_changed_are_classified_again(
    settings: Settings, checkpoint: Path, sounds: dict[str, Condition], tmp_path: Path
) -> None:
    whole = sounds["whole"]
    louder = replace(whole, sound=lambda row: 1.0 + whole.sound(row)[:8000])
    predict(checkpoint, [whole], tmp_path)
    before = load_predictions(tmp_path, "whole").logits
    predict(checkpoint, [louder], tmp_path)
    assert not np.allclose(load_predictions(tmp_path, "whole").logits, before, atol=0.01)


def test_the_same_noise_and_room_is_put_around_a_clip_at_every_call(
    settings: Settings, sounds: dict[str, Condition]
) -> None:
    again = {condition.name: condition for condition in conditions(settings)}
    trimmed = sounds["trimmed"].sound(0)
    for name in DISTURBED:
        assert sounds[name].ids == sounds["trimmed"].ids
        disturbed = sounds[name].sound(0)
        assert len(disturbed) == len(trimmed)
        np.testing.assert_array_equal(disturbed, again[name].sound(0))
    added = sounds["noise-10"].sound(0) - trimmed
    assert 10 * np.log10(np.mean(trimmed**2) / np.mean(added**2)) == pytest.approx(10.0, abs=0.1)


def test_only_readers_that_are_never_trained_on_and_all_noises_are_judged(sounds: dict[str, Condition]) -> None:
    assert sounds["plain"].recordings == ("plain-speech/26/26-1-0.opus",)
    assert sounds["noise"].recordings == ("noise/a/dog.flac", "noise/a/wind.flac")
    assert [len(sounds["noise"].sound(row)) for row in range(3)] == [80_000, 16_000, 48_000]


def test_the_agents_segmenter_finds_the_utterance_in_each_shout(results: dict[str, Any]) -> None:
    shouts = results["model"]["shouts"]
    assert shouts["with_utterance"]["of"] == 6
    assert shouts["with_utterance"]["share"] == 1.0


def test_a_trial_keeps_its_results_under_a_name_of_its_own(settings: Settings, checkpoint: Path) -> None:
    evaluate(settings, model=checkpoint, limit=3)
    trial = load_results(settings.model_copy(update={"name": "tiny-limit3"}))
    assert sum(found["clips"] for found in trial["model"]["figures"]["whole"].values()) == 3
    assert trial["model"]["limit"] == 3


def test_the_report_holds_the_figures_and_small_pictures(
    results: dict[str, Any], settings: Settings, tmp_path: Path
) -> None:
    report(settings, folder=tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    found = results["model"]["figures"]["whole"]["crema-d"]
    low, high = found["intervals"]["uar"]["clips"]
    assert f"**{found['uar']:.3f} [{low:.3f}, {high:.3f}]**" in text
    assert "| not measured |" in text
    assert "it expects angry 1 %, disgust 1 %, fear 1 %, happy 1 %, neutral 94 %" in text
    assert "$" not in text
    pictures = {path.name: path.stat().st_size for path in tmp_path.glob("*.png")}
    assert set(pictures) == {"calibration.png", "confusions.png", "noise.png", "speakers.png"}
    assert all(f"]({name})" in text for name in pictures)
    assert sum(pictures.values()) < 400_000


def test_a_report_of_a_checkpoint_that_has_changed_since_is_refused(
    settings: Settings, checkpoint: Path, tmp_path: Path
) -> None:
    trial = settings.model_copy(update={"name": "changing"})
    evaluate(trial, model=checkpoint, limit=3)
    trial = settings.model_copy(update={"name": "changing-limit3"})
    weights = checkpoint / "model.safetensors"
    original = weights.read_bytes()
    try:
        weights.write_bytes(original[:-1] + b"x")
        with pytest.raises(ValueError, match="has changed since it was judged"):
            report(trial, folder=tmp_path)
    finally:
        weights.write_bytes(original)


def test_a_report_before_anything_was_classified_says_what_to_run(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run `python -m training evaluate` first"):
        report(settings, name="never", folder=tmp_path)


def test_the_other_protocols_are_in_report_and_card_when_they_were_run(results: dict[str, Any]) -> None:
    found = results["model"]["figures"]["whole"]
    training = {
        "experiment": "first",
        "start_from": "init",
        "looks": 1,
        "frozen_layers": 2,
        "steps": 300,
        "batch_size": 32,
    }
    nemo, ravdess = (found[corpus] | {"training": training} for corpus in ("nemo", "ravdess"))
    card = model_card(results | {"leave_one_out": {"nemo": nemo}, "ravdess_folds": ravdess})
    assert "- nemo: `first`, all layers above the lowest 2 of `init`" in card
    assert "300 steps of 32 clips for each training" in card
    assert "| nEMO (Polish) left out of the training |" in card
    assert "| RAVDESS, folds by actor |" in card
    assert "left out of the training" not in model_card(results)


def test_the_cards_metadata_is_what_hugging_face_reads(results: dict[str, Any]) -> None:
    card = model_card(results)
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["license"] == "cc-by-nc-sa-4.0"
    assert metadata["language"] == ["en", "pl"]
    judged = metadata["model-index"][0]["results"]
    assert [entry["dataset"]["type"] for entry in judged] == ["crema-d", "ravdess", "nemo"]
    assert judged[0]["metrics"][0]["value"] == results["model"]["figures"]["whole"]["crema-d"]["uar"]
    assert "they are divided by 2.00; how far the best emotion stands above their mean is raised to 0.80;" in card
    assert "what is no speech is dropped" in card
    assert "$" not in card


def test_a_checkpoint_with_other_labels_is_refused_by_name(root: Path, settings: Settings) -> None:
    builder = CheckpointBuilder(root)
    with pytest.raises(ValueError, match=r"config\.json: its labels are ang, hap, neu, sad"):
        evaluate(settings.model_copy(update={"name": "four"}), model=builder.raw())
    untold = builder.raw(labels=OUTPUTS)
    edit_json(untold / "config.json", ser_agent={"name": "untold"})
    with pytest.raises(
        ValueError, match=r"its labels are noise, surprise.*those that ser_agent\.non_speech names"
    ):
        evaluate(settings.model_copy(update={"name": "untold"}), model=untold)


def test_the_file_of_results_holds_plain_rounded_numbers(results: dict[str, Any], settings: Settings) -> None:
    text = settings.results_file.read_text(encoding="utf-8")
    assert json.loads(text) == results
    assert "NaN" not in text
    assert max(len(number) for number in text.split() if number.startswith("0.")) <= len("0.00001234,")
