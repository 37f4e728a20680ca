"""The graphs of the embedded model's architecture for ONNX Runtime, without weights.

    python -m training.onnx_graph

They depend on ``ser_agent/model/config.json`` alone: weights of the same shape need no new ones. They are built
by hand rather than traced, so that what takes the time can be laid out for it. The front end's convolutions are
matrix products over unfolded frames, which can be of 8 bits as the layers' are; queries, keys and values are one
product; the convolution over positions has two dimensions: of such alone ONNX Runtime takes many channels at once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ser_agent.classifiers.onnx_precision import Precision
from ser_agent.classifiers.onnx_weights import (
    CONVOLUTION,
    LAST_NORM,
    LAYER,
    POSITIONS,
    PROJECTION,
    is_rounded,
)
from training.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from onnx import ModelProto

MODEL_FOLDER = ROOT / "ser_agent" / "model"
CONTRIBUTED = "com.microsoft"
OPSET = 17
IR_VERSION = 8
GELU_LOWEST = 0.17
"""No output of the activation function is further below 0."""
_BYTES: dict[int, int] = {TensorProto.FLOAT: 4, TensorProto.INT8: 1}


def main() -> None:
    """Write the graph of each precision."""
    for path, graph in graphs(MODEL_FOLDER).items():
        path.write_bytes(graph)
        print(f"{path.name}: {len(graph):,} bytes")


def graphs(folder: Path) -> dict[Path, bytes]:
    """The graphs for a folder's ``config.json``, each with the file that it belongs into."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return {
        folder / f"{precision}.onnx": make_graph(config, precision).SerializeToString(deterministic=True)
        for precision in get_args(Precision)
    }


def make_graph(config: Mapping[str, Any], precision: Precision) -> ModelProto:
    """Build a Wav2Vec2 classifier.

    Args:
        config: its ``config.json``: layer normalisation in the front end and before each layer, no sum of layers.
        precision: of most matrices.

    Returns:
        ``input_values``, float32 of shape ``(1, samples)``, to ``logits``, float32 of shape ``(1, labels)``; its
        weights are external.
    """
    graph = _Graph(precision)
    states = _positions(graph, config, _front_end(graph, config))
    for index in range(config["num_hidden_layers"]):
        states = _layer(graph, config, LAYER.format(index), states)
    width, labels = config["hidden_size"], len(config["id2label"])
    # The projection is linear, so the mean over time may be taken before it.
    pooled = graph.node("ReduceMean", graph.norm(states, LAST_NORM, width), axes=[1], keepdims=0)
    pooled = graph.dense(pooled, "projector", width, config["classifier_proj_size"])
    logits = graph.dense(pooled, "classifier", config["classifier_proj_size"], labels)
    graph.node("Identity", logits, output="logits")
    return graph.model(labels)


def _front_end(graph: _Graph, config: Mapping[str, Any]) -> str:
    """From samples to frames, float32 of shape ``(1, frames, width)``."""
    layers = zip(config["conv_dim"], config["conv_kernel"], config["conv_stride"], strict=True)
    states, channels = "input_values", 1
    for index, (width, kernel, stride) in enumerate(layers):
        name = CONVOLUTION.format(index)
        unfold = _unfold_states if index else _unfold_samples
        unfolded = unfold(graph, states, kernel, stride)
        states = graph.dense(unfolded, f"{name}.conv", kernel * channels, width, activated=index > 0)
        states = graph.gelu(graph.norm(states, f"{name}.layer_norm", width))
        channels = width
    states = graph.norm(states, f"{PROJECTION}.layer_norm", channels)
    return graph.dense(states, f"{PROJECTION}.projection", channels, config["hidden_size"])


def _unfold_samples(graph: _Graph, samples: str, kernel: int, stride: int) -> str:
    """What each step of a convolution over samples sees: from ``(1, samples)`` to ``(1, frames, kernel)``."""
    parts = -(-kernel // stride)
    count = graph.node("Shape", samples, start=1, end=2)
    steps = graph.node("Div", graph.node("Sub", count, graph.integers(kernel)), graph.integers(stride))
    frames = graph.node("Add", steps, graph.integers(1))
    blocks = graph.node("Add", frames, graph.integers(parts - 1))
    wanted = graph.node("Mul", blocks, graph.integers(stride))
    missing = graph.node("Max", graph.node("Sub", wanted, count), graph.integers(0))
    padding = graph.node("Concat", graph.integers(0, 0, 0), missing, axis=0)
    padded = graph.node("Pad", samples, padding)
    cut = graph.node("Slice", padded, graph.integers(0), wanted, graph.integers(1))
    blocked = graph.node("Reshape", cut, graph.integers(1, -1, stride))
    pieces = []
    for part in range(parts):
        width = min(stride, kernel - part * stride)
        last = graph.node("Add", frames, graph.integers(part))
        ends = graph.node("Concat", last, graph.integers(width), axis=0)
        pieces.append(graph.node("Slice", blocked, graph.integers(part, 0), ends, graph.integers(1, 2)))
    return graph.node("Concat", *pieces, axis=2)


def _unfold_states(graph: _Graph, states: str, kernel: int, stride: int) -> str:
    """The same over states: from ``(1, frames, channels)`` to ``(1, fewer frames, kernel * channels)``."""
    count = graph.node("Shape", states, start=1, end=2)
    pieces = []
    for tap in range(kernel):
        end = graph.node("Add", count, graph.integers(tap - kernel + 1))
        axis, step = graph.integers(1), graph.integers(stride)
        pieces.append(graph.node("Slice", states, graph.integers(tap), end, axis, step))
    return graph.node("Concat", *pieces, axis=2)


def _positions(graph: _Graph, config: Mapping[str, Any], states: str) -> str:
    """Add what a long convolution tells of where in the utterance each state stands."""
    width, groups = config["hidden_size"], config["num_conv_pos_embedding_groups"]
    kernel = config["num_conv_pos_embeddings"]
    weight = graph.weight(f"{POSITIONS}.weight", width, width // groups, 1, kernel)
    by_channel = graph.node("Unsqueeze", graph.node("Transpose", states, perm=[0, 2, 1]), graph.integers(2))
    pads = [0, kernel // 2, 0, kernel // 2 - 1 + kernel % 2]
    bias = graph.weight(f"{POSITIONS}.bias", width)
    shape = [1, kernel]
    told = graph.node("Conv", by_channel, weight, bias, group=groups, kernel_shape=shape, pads=pads)
    told = graph.gelu(graph.node("Squeeze", told, graph.integers(2)))
    return graph.node("Add", states, graph.node("Transpose", told, perm=[0, 2, 1]))


def _layer(graph: _Graph, config: Mapping[str, Any], name: str, states: str) -> str:
    """One layer of the encoder, its norms before its parts."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    joined = graph.dense(
        graph.norm(states, f"{name}.layer_norm", width), f"{name}.attention.qkv", width, 3 * width
    )
    parts = graph.split(joined, 3)
    heads = config["num_attention_heads"]
    heard = graph.node("MultiHeadAttention", *parts, domain=CONTRIBUTED, num_heads=heads)
    states = graph.node("Add", states, graph.dense(heard, f"{name}.attention.out_proj", width, width))
    normed = graph.norm(states, f"{name}.final_layer_norm", width)
    thought = graph.gelu(graph.dense(normed, f"{name}.feed_forward.intermediate_dense", width, inner))
    told = graph.dense(thought, f"{name}.feed_forward.output_dense", inner, width, activated=True)
    return graph.node("Add", states, told)


class _Graph:
    """A graph that grows node by node; each operation gives the name of its result."""

    def __init__(self, precision: Precision) -> None:
        self._precision: Precision = precision
        self._nodes: list[Any] = []
        self._tensors: dict[str, TensorProto] = {}

    def node(self, kind: str, *inputs: str, domain: str = "", output: str | None = None, **attributes: Any) -> str:  # noqa: ANN401
        """Add an operation with one result."""
        result = output or f"{kind}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [result], domain=domain, name=result, **attributes))
        return result

    def split(self, joined: str, parts: int) -> Sequence[str]:
        """Cut the last axis into equal parts."""
        results = [f"Split.{len(self._nodes)}.{part}" for part in range(parts)]
        self._nodes.append(helper.make_node("Split", [joined], results, name=results[0], axis=2))
        return results

    def gelu(self, states: str) -> str:
        """The activation function."""
        return self.node("Gelu", states, domain=CONTRIBUTED)

    def norm(self, states: str, name: str, width: int) -> str:
        """Layer normalisation."""
        parts = self.weight(f"{name}.weight", width), self.weight(f"{name}.bias", width)
        return self.node("LayerNormalization", states, *parts, axis=-1, epsilon=1e-5)

    def dense(self, states: str, name: str, inputs: int, outputs: int, *, activated: bool = False) -> str:
        """A linear layer; one of 8 bits rounds its input to 8 bits, too, by the range that it has.

        Args:
            states: the input.
            name: of the layer.
            inputs: channels.
            outputs: channels.
            activated: the input is the activation function's. Normalised frames are equally large, such frames are
                not: the loudest would leave the others few steps, so before rounding each is made as large as 1.
        """
        bias = self.weight(f"{name}.bias", outputs)
        if not is_rounded(name, self._precision):
            product = self.node("MatMul", states, self.weight(f"{name}.weight", inputs, outputs))
            return self.node("Add", product, bias)
        matrix = self.weight(f"{name}.int8", inputs, outputs, kind=TensorProto.INT8)
        parts = matrix, self.weight(f"{name}.scale", outputs)
        if not activated:
            return self.node("DynamicQuantizeMatMul", states, *parts, "", bias, domain=CONTRIBUTED)
        largest = self.node("ReduceMax", states, axes=[2], keepdims=1)
        size = self.node("Max", largest, self.number("lowest", GELU_LOWEST))
        scaled = self.node("Div", states, size)
        product = self.node("DynamicQuantizeMatMul", scaled, *parts, domain=CONTRIBUTED)
        return self.node("Add", self.node("Mul", product, size), bias)

    def weight(self, name: str, *shape: int, kind: int = TensorProto.FLOAT) -> str:
        """A weight whose value comes from elsewhere."""
        tensor = TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
        length = _BYTES[kind] * int(np.prod(shape))
        for key, value in (("location", "model.safetensors"), ("offset", "0"), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        self._tensors[name] = tensor
        return name

    def integers(self, *values: int) -> str:
        """A constant list of integers."""
        name = f"[{','.join(map(str, values))}]"
        self._tensors[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def number(self, name: str, value: float) -> str:
        """A constant in single precision."""
        self._tensors[name] = numpy_helper.from_array(np.array(value, np.float32), name)
        return name

    def model(self, labels: int) -> ModelProto:
        """What was built."""
        given = helper.make_tensor_value_info("input_values", TensorProto.FLOAT, [1, "samples"])
        told = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, labels])
        graph = helper.make_graph(self._nodes, "wav2vec2", [given], [told], list(self._tensors.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIBUTED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="ser-agent")


if __name__ == "__main__":
    main()
