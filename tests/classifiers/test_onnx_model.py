"""The embedded model in ONNX Runtime: torch's answers, its weights from the same file, and no torch for it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.sounds import said, speech_clips

from ser_agent.classifiers.onnx_folder import embedded_folder, has_embedded_shape
from ser_agent.classifiers.onnx_model import OnnxModel
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.errors import ModelError
from ser_agent.ports import PluginContext
from ser_agent.testing import check_classifier

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from support.checkpoints import CheckpointBuilder, MakeClassifier

FAR_APART = 0.15
"""Largest difference of a probability that rounding to 8 bits may make on these clips."""


def classifier(folder: Path | str = "embedded", **options: Any) -> Wav2Vec2Classifier:  # noqa: ANN401
    chosen = Wav2Vec2Options(**{"model": str(folder), "threads": 1, **options})
    return Wav2Vec2Classifier(chosen, PluginContext("test", Path.cwd()))


def probabilities(folder: Path | str = "embedded", **options: Any) -> NDArray[np.float64]:  # noqa: ANN401
    """Of each clip for each emotion."""
    loaded = classifier(folder, **options)
    labels = loaded.load().labels
    answers = loaded.classify([said(samples) for samples in speech_clips()])
    loaded.close()
    return np.array([[answer[label] for label in labels] for answer in answers if isinstance(answer, dict)])


def copied(tmp_path: Path) -> Path:
    """The embedded checkpoint without its graphs, somewhere else."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for file in ("config.json", "preprocessor_config.json", "model.safetensors"):
        shutil.copyfile(embedded_folder() / file, folder / file)
    return folder


@pytest.mark.model
@pytest.mark.timeout(300)  # importing torch takes its time on a busy machine
def test_in_single_precision_it_answers_as_torch_does() -> None:
    pytest.importorskip("torch")
    ours, theirs = probabilities(precision="float32"), probabilities(engine="torch", device="cpu")
    assert len(ours) == len(speech_clips())
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_of_8_bits_it_answers_nearly_the_same() -> None:
    rounded, exact = probabilities(), probabilities(precision="float32")
    assert np.abs(rounded - exact).max() < FAR_APART
    sure = exact.max(axis=1) > 0.5 + FAR_APART
    assert np.array_equal(rounded[sure].argmax(axis=1), exact[sure].argmax(axis=1))


def test_it_keeps_the_promises_of_a_classifier() -> None:
    check_classifier(classifier())


def test_several_at_the_same_time_are_answered_as_each_alone() -> None:
    assert np.array_equal(probabilities(threads=2), np.concatenate([one_alone(clip) for clip in range(6)]))


def one_alone(clip: int) -> NDArray[np.float64]:
    loaded = classifier(threads=2)
    labels = loaded.load().labels
    (answer,) = loaded.classify([said(speech_clips()[clip])])
    loaded.close()
    assert isinstance(answer, dict)
    return np.array([[answer[label] for label in labels]])


def test_the_graphs_are_those_of_the_embedded_models_configuration() -> None:
    pytest.importorskip("onnx")
    from training.onnx_graph import graphs  # noqa: PLC0415 - needs onnx

    for path, graph in graphs(embedded_folder()).items():
        assert path.read_bytes() == graph, f"{path.name} is stale: run `python -m training.onnx_graph`"


def test_a_checkpoint_of_the_same_shape_needs_no_export(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    folder = copied(tmp_path)
    weights = safetensors.load_file(folder / "model.safetensors")
    other = {name: value.astype(np.float32) for name, value in weights.items()}
    other["classifier.bias"] = other["classifier.bias"][::-1].copy()
    safetensors.save_file(other, folder / "model.safetensors")
    loaded = classifier(folder)
    loaded.load()
    assert isinstance(loaded._model, OnnxModel)
    given = [loaded._model.logits(clip) for clip in speech_clips()]
    mine = classifier()
    mine.load()
    assert isinstance(mine._model, OnnxModel)
    shift = (other["classifier.bias"] - weights["classifier.bias"])[None]
    np.testing.assert_allclose(given, [mine._model.logits(clip) + shift for clip in speech_clips()], atol=1e-4)


def test_a_weight_that_is_missing_is_named(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    folder = copied(tmp_path)
    weights = safetensors.load_file(folder / "model.safetensors")
    del weights["projector.weight"]
    safetensors.save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"has no weights 'projector\.weight'"):
        classifier(folder).load()


def test_a_weight_of_another_shape_is_refused(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    folder = copied(tmp_path)
    weights = safetensors.load_file(folder / "model.safetensors")
    weights["projector.weight"] = weights["projector.weight"][:, 1:]
    safetensors.save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match="mine: it cannot be loaded"):
        classifier(folder).load()


def test_weights_of_a_type_that_is_not_read_are_refused(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    folder = copied(tmp_path)
    weights = safetensors.load_file(folder / "model.safetensors")
    weights["projector.weight"] = weights["projector.weight"].astype(np.int16)
    safetensors.save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"projector\.weight is of type I16"):
        classifier(folder).load()


@pytest.mark.model
@pytest.mark.timeout(300)
def test_of_another_shape_it_says_how_to_export(build: CheckpointBuilder, make: MakeClassifier) -> None:
    folder = build.raw()
    with pytest.raises(ModelError, match=rf"ser-agent export {folder} FOLDER"):
        make(folder, engine="onnx").load()
    assert not has_embedded_shape(folder)


def test_a_hub_id_needs_torch_or_an_export(make: MakeClassifier) -> None:
    with pytest.raises(ModelError, match="takes no hub id"):
        make("somebody/something", engine="onnx").load()


def test_a_gpu_is_a_matter_for_torch(make: MakeClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ser_agent.classifiers.checkpoint", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(Exception, match="'torch'"):
        make("embedded", device="cuda").load()


def test_what_is_no_checkpoint_is_told_as_ever(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"has no preprocessor_config\.json"):
        classifier(folder).load()


def test_a_model_for_another_rate_is_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sampling_rate": 8000}))
    with pytest.raises(ModelError, match="8000 Hz"):
        classifier(folder).load()
