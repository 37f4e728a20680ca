from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from training.card import model_card  # noqa: E402 - after the skips
from training.corpora import MODEL_LABELS  # noqa: E402
from training.export import MAX_BYTES, MODEL_FOLDER  # noqa: E402
from training.settings import ROOT, Settings, load_settings  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, dict[str, Any]]:
    model, report = transformers.AutoModelForAudioClassification.from_pretrained(
        MODEL_FOLDER, output_loading_info=True
    )
    return model, report


@pytest.fixture(scope="module")
def extractor() -> Any:  # noqa: ANN401
    return transformers.AutoFeatureExtractor.from_pretrained(MODEL_FOLDER)


def probabilities(model: Any, extractor: Any, sounds: list[NDArray[np.float32]]) -> NDArray[np.float32]:  # noqa: ANN401
    inputs = extractor(sounds, sampling_rate=16_000, padding=True, return_tensors="pt")
    with torch.inference_mode():
        return np.asarray(model(**inputs).logits.softmax(dim=-1).numpy())


def speechlike(seconds: float, seed: int) -> NDArray[np.float32]:
    """A buzzing tone whose pitch and level wander: no speech, but not out of this world for the model."""
    rng = np.random.default_rng(seed)
    length = round(seconds * 16_000)
    wander = np.interp(np.arange(length), np.linspace(0, length, 12), rng.uniform(0.3, 1.0, 12))
    phase = np.cumsum(2 * np.pi * (100 + 120 * wander) / 16_000)
    harmonics = sum(np.sin(k * phase) / k for k in range(1, 20))
    return np.asarray(0.1 * wander * harmonics, dtype=np.float32)


def test_every_weight_of_the_model_is_in_its_checkpoint_and_none_is_left_over(
    loaded: tuple[Any, dict[str, Any]],
) -> None:
    model, report = loaded
    assert {name: keys for name, keys in report.items() if keys} == {}
    assert type(model).__name__ == "Wav2Vec2ForSequenceClassification"
    assert model.dtype == torch.float32


def test_it_names_its_labels_and_itself(loaded: tuple[Any, dict[str, Any]]) -> None:
    config = loaded[0].config
    assert [config.id2label[index] for index in range(8)] == list(MODEL_LABELS)
    assert config.ser_agent["licence"] == "CC-BY-NC-SA-4.0"
    assert config.ser_agent["languages"] == ["en", "pl"]


def test_it_gives_probabilities(loaded: tuple[Any, dict[str, Any]], extractor: Any) -> None:  # noqa: ANN401
    found = probabilities(loaded[0], extractor, [speechlike(2.0, 1), speechlike(2.0, 2)])
    assert found.shape == (2, len(MODEL_LABELS))
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-5)
    assert (found > 0).all()
    assert not np.allclose(found[0], found[1], atol=1e-3)


def test_a_padded_batch_answers_as_single_sounds_do(loaded: tuple[Any, dict[str, Any]], extractor: Any) -> None:  # noqa: ANN401
    sounds = [speechlike(seconds, seed) for seed, seconds in enumerate((0.5, 2.3, 4.0))]
    single = np.concatenate([probabilities(loaded[0], extractor, [sound]) for sound in sounds])
    np.testing.assert_allclose(probabilities(loaded[0], extractor, sounds), single, atol=1e-4)


def test_its_folder_is_small_and_holds_a_card_and_a_notice() -> None:
    assert sum(path.stat().st_size for path in MODEL_FOLDER.iterdir()) < MAX_BYTES
    card = (MODEL_FOLDER / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    assert "license: cc-by-nc-sa-4.0" in card
    notice = (MODEL_FOLDER / "NOTICE").read_text(encoding="utf-8")
    assert "Copyright (c) 2022 OpenAI" in notice
    for corpus in ("CREMA-D", "RAVDESS", "nEMO"):
        assert corpus in card
        assert corpus in notice


def test_the_cards_figures_are_the_recorded_ones() -> None:
    results = json.loads((ROOT / "training" / "results" / "averaged.json").read_text(encoding="utf-8"))
    assert (MODEL_FOLDER / "README.md").read_text(encoding="utf-8") == model_card(results)


def test_the_recorded_settings_are_those_of_the_recipe() -> None:
    results = json.loads((ROOT / "training" / "results" / "averaged.json").read_text(encoding="utf-8"))
    recipe = load_settings(ROOT / "training" / "averaged.yaml")
    assert Settings.model_validate(results["settings"]) == recipe
