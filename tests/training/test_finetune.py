"""The whole training, of a tiny model on a tiny corpus of real speech: it makes a checkpoint, and resumes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.tiny_corpora import tiny_corpora
from support.tiny_model import HIDDEN, tiny_model

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import save_file  # noqa: E402 - after the skips

from ser_agent.errors import ConfigError  # noqa: E402
from training import settings as settings_module  # noqa: E402
from training.average import average  # noqa: E402
from training.cache_writer import build_cache  # noqa: E402
from training.distil import distil  # noqa: E402
from training.distil_settings import DistilSettings  # noqa: E402
from training.export import calibration, export, trained_prior  # noqa: E402
from training.finetune import finetune, start_folder  # noqa: E402
from training.network import load_model  # noqa: E402
from training.settings import FinetuneSettings, HeadSettings, Settings  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Clips, a start and a teacher, all tiny; runs are kept in the test's folder."""
    monkeypatch.setattr(settings_module, "ROOT", tmp_path)
    tiny_model().wav2vec2.save_pretrained(tmp_path / "start")
    (tmp_path / "teacher").mkdir()
    weights = {"conv1.weight": (HIDDEN, 80, 3), "conv2.weight": (HIDDEN, HIDDEN, 3)}
    biases = {"conv1.bias": (HIDDEN,), "conv2.bias": (HIDDEN,)}
    save_file(
        {name: torch.randn(shape) * 0.1 for name, shape in (weights | biases).items()},
        tmp_path / "teacher" / "model.safetensors",
    )
    made = tiny_corpora(tmp_path).model_copy(
        update={
            "start_from": tmp_path / "start",
            "teacher": tmp_path / "teacher",
            "use": ("crema-d", "noise"),
            "threads": 1,
            "distil": DistilSettings(steps=60, batch_size=4, crop_s=0.5, warmup_steps=5, learning_rate=3e-3),
            "head": HeadSettings(steps=10, batch_size=8),
            "finetune": FinetuneSettings(steps=4, batch_size=4, looks=2, frozen_layers=1),
        }
    )
    build_cache(made)
    return made


def test_training_makes_a_checkpoint_that_loads_and_that_can_be_calibrated(settings: Settings) -> None:
    finetune(settings)
    model: Any = load_model(settings.run_folder / "last")
    assert model.config.id2label[7] == "noise"
    held = settings.model_copy(update={"held_out": {"crema-d": ("1002",)}})
    about = calibration(held, model)
    assert about["non_speech"] == ["noise"]
    assert 0.2 <= about["calibration"].pop("temperature") <= 5.0
    assert about["calibration"] == {}  # one person tells nothing of others
    assert 0.0 < about["uncertain_below"] < 1.0


def test_a_model_of_ones_own_is_written_where_it_is_asked_for(settings: Settings, tmp_path: Path) -> None:
    finetune(settings)
    export(settings, tmp_path / "mine")
    config = json.loads((tmp_path / "mine" / "config.json").read_text(encoding="utf-8"))
    assert config["ser_agent"] == {"name": "first", "non_speech": ["noise"]}  # nobody was held out
    assert load_model(tmp_path / "mine").config.num_labels == 8


def test_a_model_that_heard_everybody_takes_the_calibration_of_one_trained_alike(
    settings: Settings, tmp_path: Path
) -> None:
    finetune(settings)
    other = settings.model_copy(update={"held_out": {"crema-d": ("1002",)}})
    (tmp_path / "other.yaml").write_text(other.model_dump_json(), encoding="utf-8")  # JSON is YAML, too
    everyone = settings.model_copy(update={"name": "everyone", "calibrate_as": tmp_path / "other.yaml"})
    finetune(everyone)
    export(everyone, tmp_path / "mine")
    config = json.loads((tmp_path / "mine" / "config.json").read_text(encoding="utf-8"))
    fitted = calibration(other, load_model(other.run_folder / "last"))
    assert config["ser_agent"] == {"name": "everyone"} | fitted
    assert fitted["calibration"]


def test_the_mean_of_two_models_is_a_model(settings: Settings) -> None:
    finetune(settings)
    other = settings.model_copy(update={"name": "other", "seed": 2})
    finetune(other)
    mean = settings.model_copy(update={"name": "mean", "average": ("first", "other")})
    average(mean)
    first, second, third = (load_model(made.run_folder / "last").state_dict() for made in (settings, other, mean))
    name = "classifier.weight"
    assert not torch.equal(first[name], second[name])
    torch.testing.assert_close(third[name], (first[name] + second[name]) / 2)
    with pytest.raises(ConfigError, match="average: lists no experiments"):
        average(settings)


def test_training_that_was_stopped_goes_on_where_it_was(settings: Settings) -> None:
    finetune(settings)
    longer = settings.model_copy(update={"finetune": settings.finetune.model_copy(update={"steps": 6})})
    finetune(longer)
    assert "upper 4 (67%): resumed" in (settings.run_folder / "log.txt").read_text(encoding="utf-8")
    state: Any = torch.load(settings.run_folder / "upper.pt", weights_only=True)
    assert state["step"] == 6


def test_the_front_end_comes_nearer_to_the_stem_and_training_starts_from_it(settings: Settings) -> None:
    short = settings.model_copy(update={"distil": settings.distil.model_copy(update={"steps": 1})})
    distil(short)
    start = torch.load(settings.run_folder / "distil.pt", weights_only=True)["parts"]["model"]
    distil(settings)
    assert start_folder(settings) == settings.run_folder / "front"
    end = torch.load(settings.run_folder / "distil.pt", weights_only=True)["parts"]["model"]
    changed = {name for name in start if not torch.equal(start[name], end[name])}
    assert changed
    assert all(name.startswith(("feature_extractor", "feature_projection")) for name in changed)


def test_the_prior_of_training_leaves_noise_out(settings: Settings) -> None:
    prior = trained_prior(settings)
    assert prior == {"angry": 0, "disgust": 0, "fear": 0, "happy": 0, "neutral": 0, "sad": 1, "surprise": 0}


def test_training_goes_on_from_a_finished_models_head_and_in_half_precision(settings: Settings) -> None:
    finetune(settings)
    first = settings.run_folder / "last"
    further = {"steps": 1, "precision": "bfloat16", "learning_rate": 1e-9, "head_learning_rate": 1e-9}
    second = settings.model_copy(
        update={
            "name": "second",
            "start_from": first,
            "head": HeadSettings(keep=True),
            "finetune": settings.finetune.model_copy(update=further),
        }
    )
    finetune(second)
    before, after = load_model(first).state_dict(), load_model(second.run_folder / "last").state_dict()
    torch.testing.assert_close(after["classifier.weight"], before["classifier.weight"], rtol=0.0, atol=1e-6)
    # The moments have moved a little towards those of the one batch.
    torch.testing.assert_close(after["projector.weight"], before["projector.weight"], rtol=0.2, atol=0.0)


def test_a_head_of_another_kind_cannot_be_kept(settings: Settings, tmp_path: Path) -> None:
    tiny_model(7).save_pretrained(tmp_path / "other")
    other = settings.model_copy(update={"start_from": tmp_path / "other", "head": HeadSettings(keep=True)})
    with pytest.raises(ValueError, match=r"of another kind; see head\.keep"):
        finetune(other)
