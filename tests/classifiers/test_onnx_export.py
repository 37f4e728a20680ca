"""Exporting: any checkpoint that hears the waveform gives a folder that answers alike, and needs no torch."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from support.sounds import said, speech_clips

from ser_agent.classifiers.folder import CONFIG
from ser_agent.classifiers.onnx_folder import GRAPH, is_exported
from ser_agent.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from support.checkpoints import CheckpointBuilder, MakeClassifier

    from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]  # importing torch takes its time on a busy machine


@pytest.fixture(autouse=True)
def _needs_onnx() -> None:
    pytest.importorskip("onnx")


def answers(classifier: Wav2Vec2Classifier) -> NDArray[np.float64]:
    labels = classifier.load().labels
    given: Any = classifier.classify([said(clip) for clip in speech_clips()])
    return np.array([[answer[label] for label in labels] for answer in given])


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask:UserWarning")  # WavLM's own doing
@pytest.mark.parametrize(("kind", "norm"), [("wav2vec2", "layer"), ("hubert", "group"), ("wavlm", "layer")])
def test_in_single_precision_it_answers_as_torch_does(
    build: CheckpointBuilder,
    make: MakeClassifier,
    tmp_path: Path,
    kind: Literal["wav2vec2", "hubert", "wavlm"],
    norm: Literal["group", "layer"],
) -> None:
    original = make(build.raw(kind, norm=norm))
    original.export(tmp_path / "exported", "float32")
    exported = make(tmp_path / "exported", engine="onnx")
    np.testing.assert_allclose(answers(exported), answers(original), atol=1e-4)


def test_of_8_bits_it_answers_nearly_the_same(
    build: CheckpointBuilder, make: MakeClassifier, tmp_path: Path
) -> None:
    original = make(build.raw())
    original.export(tmp_path / "exported", "int8")
    assert np.abs(answers(make(tmp_path / "exported")) - answers(original)).max() < 0.1


def test_a_head_of_its_authors_own_goes_along(
    build: CheckpointBuilder, make: MakeClassifier, tmp_path: Path
) -> None:
    original = make(build.custom_head())
    original.export(tmp_path / "exported", "float32")
    np.testing.assert_allclose(answers(make(tmp_path / "exported")), answers(original), atol=1e-4)


def test_what_the_author_tells_is_beside_it_and_is_read_as_ever(
    build: CheckpointBuilder, make: MakeClassifier, tmp_path: Path
) -> None:
    told = {"name": "lab", "calibration": {"temperature": 2.0, "bias": {"sad": 0.5}}, "non_speech": ["neu"]}
    original = make(build.raw(ser_agent=told))
    original.export(tmp_path / "exported", "float32")
    kept = json.loads((tmp_path / "exported" / CONFIG).read_text(encoding="utf-8"))
    assert kept["ser_agent"] == told
    exported = make(tmp_path / "exported")
    assert exported.load() == original.load()


def test_a_folder_that_was_exported_is_taken_by_itself(
    build: CheckpointBuilder, make: MakeClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(build.raw()).export(tmp_path / "exported", "int8")
    assert is_exported(tmp_path / "exported")
    assert sorted(path.name for path in (tmp_path / "exported").iterdir()) == [
        CONFIG,
        GRAPH,
        "preprocessor_config.json",
    ]
    monkeypatch.setitem(sys.modules, "ser_agent.classifiers.checkpoint", None)
    assert make(tmp_path / "exported").load().labels


def test_a_model_that_hears_spectra_is_refused(
    build: CheckpointBuilder, make: MakeClassifier, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="only models that hear the waveform"):
        make(build.whisper()).export(tmp_path / "exported", "float32")


def test_the_checkpoint_itself_is_not_written_over(build: CheckpointBuilder, make: MakeClassifier) -> None:
    folder = build.raw()
    with pytest.raises(ModelError, match="is the checkpoint itself"):
        make(folder).export(folder, "float32")
    assert not is_exported(folder)


def test_a_damaged_graph_is_told(build: CheckpointBuilder, make: MakeClassifier, tmp_path: Path) -> None:
    make(build.raw()).export(tmp_path / "exported", "float32")
    (tmp_path / "exported" / GRAPH).write_bytes(b"no graph")
    with pytest.raises(ModelError, match="exported: it cannot be loaded"):
        make(tmp_path / "exported").load()
