"""Taking a finished model's front end: nothing that has learnt from labels comes along."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.tiny_model import tiny_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from ser_agent.errors import ModelError  # noqa: E402 - after the skips
from training import settings as settings_module  # noqa: E402
from training.export import write_checkpoint  # noqa: E402
from training.finetune import start_folder  # noqa: E402
from training.front import take_front  # noqa: E402
from training.settings import Settings  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An encoder to start from, and a finished model that differs in everything, in the test's folder."""
    monkeypatch.setattr(settings_module, "ROOT", tmp_path)
    torch.manual_seed(1)
    tiny_model().wav2vec2.save_pretrained(tmp_path / "start")
    finished = tiny_model()
    with torch.no_grad():
        for weights in finished.parameters():
            weights.add_(torch.randn_like(weights))
    write_checkpoint(finished, {"name": "finished"}, tmp_path / "finished")
    return Settings(start_from=tmp_path / "start")


def test_the_front_end_is_the_finished_models_and_all_else_the_starts(settings: Settings, tmp_path: Path) -> None:
    take_front(settings, tmp_path / "finished")
    made, start, finished = (
        transformers.Wav2Vec2Model.from_pretrained(folder, dtype=torch.float32).state_dict()
        for folder in (start_folder(settings), tmp_path / "start", tmp_path / "finished")
    )
    assert start_folder(settings) == settings.run_folder / "front"
    assert any(name.startswith("feature_projection") for name in made)
    for name, weights in made.items():
        is_front = name.startswith(("feature_extractor.", "feature_projection."))
        assert torch.equal(weights, (finished if is_front else start)[name]), name
        assert not torch.equal(start[name], finished[name]), name


def test_a_front_end_that_is_there_is_kept(settings: Settings, tmp_path: Path) -> None:
    take_front(settings, tmp_path / "finished")
    with pytest.raises(ModelError, match="is there already"):
        take_front(settings, tmp_path / "finished")


def test_a_front_end_of_another_shape_is_refused(settings: Settings, tmp_path: Path) -> None:
    other = settings.model_copy(update={"start_from": tmp_path / "wide"})
    config = transformers.Wav2Vec2Config.from_pretrained(tmp_path / "start")
    config.hidden_size *= 2
    transformers.Wav2Vec2Model(config).save_pretrained(tmp_path / "wide")
    with pytest.raises(ModelError, match=r"its feature_projection does not fit .*wide"):
        take_front(other, tmp_path / "finished")
    assert not (other.run_folder / "front").exists()
