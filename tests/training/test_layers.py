"""Distilling the layers of a tiny encoder, on a tiny corpus of real speech, from a tiny Whisper."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from support.tiny_corpora import tiny_corpora
from support.tiny_model import HIDDEN, tiny_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from training import settings as settings_module  # noqa: E402 - after the skips
from training.cache_writer import build_cache  # noqa: E402
from training.distil import distil  # noqa: E402
from training.distil_settings import DistilSettings, LayersSettings  # noqa: E402
from training.finetune import start_folder  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from training.settings import Settings

LAYERS = LayersSettings(steps=100, batch_size=4, crop_s=0.5, warmup_steps=5, learning_rate=1e-2)


def whisper(folder: Path, layers: int) -> None:
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        d_model=HIDDEN, encoder_layers=layers, encoder_attention_heads=2, encoder_ffn_dim=32, num_mel_bins=80
    )
    transformers.models.whisper.modeling_whisper.WhisperEncoder(config).save_pretrained(folder)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Clips, a start and a teacher, all tiny; the front end stays as it is."""
    monkeypatch.setattr(settings_module, "ROOT", tmp_path)
    tiny_model().wav2vec2.save_pretrained(tmp_path / "start")
    whisper(tmp_path / "teacher", 3)
    made = tiny_corpora(tmp_path).model_copy(
        update={
            "start_from": tmp_path / "start",
            "teacher": tmp_path / "teacher",
            "use": ("crema-d", "noise"),
            "threads": 1,
            "distil": DistilSettings(steps=0, layers=LAYERS),
        }
    )
    build_cache(made)
    return made


def with_layers(settings: Settings, **changed: Any) -> Settings:  # noqa: ANN401 - the section's values
    layers = settings.distil.layers.model_copy(update=changed)
    return settings.model_copy(update={"distil": settings.distil.model_copy(update={"layers": layers})})


def weights_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = transformers.Wav2Vec2Model.from_pretrained(folder).state_dict()
    return found


def told_errors(settings: Settings) -> list[list[float]]:
    """What the log tells at each check: one error for each layer."""
    lines = re.findall(r"squared errors (.+)", (settings.run_folder / "log.txt").read_text(encoding="utf-8"))
    return [[float(error) for error in line.split()] for line in lines]


def test_each_layer_comes_nearer_to_whispers_and_nothing_below_them_changes(settings: Settings) -> None:
    distil(settings)
    first, *_, last = told_errors(settings)
    assert len(first) == len(last) == 3
    assert all(after < 0.8 * before for before, after in zip(first, last, strict=True))
    before, after = weights_of(settings.start_folder), weights_of(start_folder(settings))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("encoder.layers.0.") for name in changed)
    assert all(name.startswith(("encoder.layers.", "encoder.layer_norm.")) for name in changed)


def test_distilling_that_was_stopped_goes_on_where_it_was_and_ends_in_a_folder(settings: Settings) -> None:
    distil(with_layers(settings, steps=2, precision="bfloat16"))
    distil(with_layers(settings, steps=3, precision="bfloat16"))
    assert "layers 2 (67%): resumed" in (settings.run_folder / "log.txt").read_text(encoding="utf-8")
    state: Any = torch.load(settings.run_folder / "layers.pt", weights_only=True)
    assert state["step"] == 3
    after = weights_of(settings.run_folder / "front")
    assert all(torch.equal(after[name], weights) for name, weights in state["parts"]["model"].items())


def test_both_steps_follow_one_another(settings: Settings) -> None:
    both = DistilSettings(steps=1, batch_size=2, crop_s=0.5, layers=LAYERS.model_copy(update={"steps": 1}))
    distil(settings.model_copy(update={"distil": both}))
    before, after = weights_of(settings.start_folder), weights_of(settings.run_folder / "front")
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"feature_extractor", "feature_projection", "encoder"}


def test_a_teacher_of_another_depth_is_refused(settings: Settings) -> None:
    whisper(settings.teacher_folder, 2)
    with pytest.raises(ValueError, match="the teacher has 2 layers, the model 3"):
        distil(settings)
    assert not (settings.run_folder / "front").exists()
