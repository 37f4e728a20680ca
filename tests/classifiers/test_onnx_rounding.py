"""Rounding to 8 bits: what is spared, what quiet frames keep beside loud ones, and processors with a bit less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
from support.sounds import speech_clips

from ser_agent.classifiers import onnx_weights
from ser_agent.classifiers.onnx_folder import GRAPH, embedded_folder
from ser_agent.classifiers.onnx_model import OnnxModel
from ser_agent.classifiers.onnx_weights import is_rounded
from ser_agent.classifiers.processor import LARGEST_INT8, LARGEST_UNSATURATED
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Options

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from support.checkpoints import CheckpointBuilder, MakeClassifier

    from ser_agent.classifiers.onnx_precision import Precision

FIRST_ATTENTION = "wav2vec2.encoder.layers.0.attention"


def logits(precision: Precision) -> NDArray[np.float64]:
    """Of the embedded model for each clip, less their mean: what is left tells the labels apart."""
    options = Wav2Vec2Options(engine="onnx", precision=precision, threads=1)
    model = OnnxModel("embedded", embedded_folder(), options)
    found = np.concatenate([model.logits(clip) for clip in speech_clips()])
    model.close()
    return np.asarray(found - found.mean(axis=1, keepdims=True))


def test_what_costs_the_most_accuracy_stays_in_single_precision() -> None:
    assert not is_rounded(f"{FIRST_ATTENTION}.qkv", "int8")
    assert not is_rounded("projector", "int8")
    assert is_rounded("wav2vec2.encoder.layers.0.feed_forward.output_dense", "int8")
    assert is_rounded("wav2vec2.encoder.layers.1.attention.qkv", "int8")
    assert not is_rounded("wav2vec2.encoder.layers.1.attention.qkv", "float32")


@pytest.mark.parametrize("largest", [LARGEST_INT8, LARGEST_UNSATURATED])
def test_the_outputs_are_off_by_a_tenth_at_most_on_any_processor(
    largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = logits("float32")
    monkeypatch.setattr(onnx_weights, "largest_weight", lambda: largest)
    off = logits("int8") - exact
    assert 0 < np.sqrt(np.square(off).mean()) < 0.1


def test_a_loud_frame_leaves_the_quiet_ones_their_steps() -> None:
    quiet, plain = errors(activated=True), errors(activated=False)
    assert quiet[0] < plain[0] / 10
    assert quiet[1] == pytest.approx(plain[1], rel=1)


def errors(*, activated: bool) -> NDArray[np.float64]:
    """How far a rounded layer's outputs are off for a quiet frame and for one that is a hundred times louder."""
    pytest.importorskip("onnx")
    from onnx import numpy_helper  # noqa: PLC0415 - not in the light agent

    from training.onnx_graph import _Graph  # noqa: PLC0415 - needs onnx

    rng = np.random.default_rng(1)
    frames = np.abs(rng.normal(size=(1, 2, 16))).astype(np.float32) * np.array([[[1], [100]]], np.float32)
    matrix = rng.integers(-127, 127, (16, 8)).astype(np.int8)
    graph = _Graph("int8")
    graph.node("Identity", graph.dense("input_values", "layer", 16, 8, activated=activated), output="logits")
    model = graph.model(8)
    values: dict[str, NDArray[Any]] = {
        "layer.int8": matrix,
        "layer.scale": np.ones(8, np.float32),
        "layer.bias": np.zeros(8, np.float32),
    }
    for tensor in model.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    for told, shape in ((model.graph.input[0], (1, 2, 16)), (model.graph.output[0], (1, 2, 8))):
        told.type.tensor_type.shape.ClearField("dim")
        for length in shape:
            told.type.tensor_type.shape.dim.add(dim_value=length)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"input_values": frames})
    return np.asarray(np.abs(found - frames @ matrix)[0].mean(axis=1))


@pytest.mark.model
@pytest.mark.timeout(300)  # importing torch takes its time on a busy machine
def test_an_exported_graph_rounds_the_layers_alone(
    build: CheckpointBuilder, make: MakeClassifier, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    make(build.raw()).export(tmp_path / "exported", "int8")
    nodes = onnx.load(str(tmp_path / "exported" / GRAPH)).graph.node
    rounded = [node.name for node in nodes if node.op_type == "MatMulInteger"]
    exact = [node.name for node in nodes if node.op_type in ("MatMul", "Gemm")]
    assert rounded
    assert all("/layers." in name and "/layers.0/attention/" not in name for name in rounded)
    for part in ("feature_projection", "layers.0/attention/q_proj", "projector", "classifier"):
        assert any(part in name for name in exact), part
