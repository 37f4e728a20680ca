"""The weights of a graph that comes without any: a checkpoint's safetensors, read and laid out by NumPy alone.

``ser_agent/model`` holds two graphs of the embedded architecture, made by ``python -m training.onnx_graph``.
They name their weights and lack the values, so the same file of weights serves torch and ONNX Runtime, and a model
that was trained anew needs no new graph.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ser_agent.classifiers.processor import largest_weight

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ser_agent.classifiers.onnx_precision import Precision

CONVOLUTION: Final = "wav2vec2.feature_extractor.conv_layers.{}"
PROJECTION: Final = "wav2vec2.feature_projection"
POSITIONS: Final = "wav2vec2.encoder.pos_conv_embed.conv"
LAYER: Final = "wav2vec2.encoder.layers.{}"
LAST_NORM: Final = "wav2vec2.encoder.layer_norm"

_EXACT: Final = (
    CONVOLUTION.format(0),
    CONVOLUTION.format(1),
    PROJECTION,
    f"{LAYER.format(0)}.attention",
    "projector",
    "classifier",
)
"""Stay in single precision: rounding these few costs more accuracy than rounding all others together."""
_LENGTH_BYTES: Final = 8
_TYPES: Final = {"F16": np.float16, "F32": np.float32}


def is_rounded(layer: str, precision: Precision) -> bool:
    """Whether a layer's matrix is of 8 bits."""
    return precision == "int8" and not layer.startswith(_EXACT)


class Safetensors:
    """A file of weights, of which each is read when it is asked for."""

    def __init__(self, path: Path) -> None:
        """Read the header.

        Args:
            path: of a file that ``check_folder`` has found whole.
        """
        self._path = path
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            self._header: dict[str, Any] = json.loads(file.read(length))
        self._start = _LENGTH_BYTES + length

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """One tensor, in single precision.

        Raises:
            KeyError: there is no such tensor.
            ValueError: it is of a type that is not read.
        """
        about = self._header[name]
        if about["dtype"] not in _TYPES:
            raise ValueError(f"{name} is of type {about['dtype']}, and only {' and '.join(_TYPES)} are read")
        begin, end = about["data_offsets"]
        kind = np.dtype(_TYPES[about["dtype"]])
        # Read, not mapped: what is mapped counts as the process's memory for as long as it lives.
        flat = np.fromfile(self._path, kind, (end - begin) // kind.itemsize, offset=self._start + begin)
        return flat.reshape(about["shape"]).astype(np.float32)


def initialisers(
    tensors: Safetensors, config: Mapping[str, Any], precision: Precision
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Give each weight that a graph names its value.

    Args:
        tensors: of the checkpoint.
        config: the checkpoint's ``config.json``.
        precision: which of the two graphs it is for.

    Yields:
        Name and value: matrices as ``(inputs, outputs)``, those of 8 bits with a scale for each output.

    Raises:
        KeyError: the checkpoint lacks one.
        ValueError: one is of a type that is not read.
    """
    for index in range(len(config["conv_dim"])):
        name = CONVOLUTION.format(index)
        weight = tensors[f"{name}.conv.weight"]
        taps_first = weight.transpose(2, 1, 0).reshape(-1, weight.shape[0])
        yield from _dense(f"{name}.conv", taps_first, tensors[f"{name}.conv.bias"], precision)
        yield from _plain(tensors, f"{name}.layer_norm")
    yield from _plain(tensors, f"{PROJECTION}.layer_norm")
    yield from _linear(tensors, f"{PROJECTION}.projection", precision)
    yield from _positions(tensors)
    for index in range(config["num_hidden_layers"]):
        yield from _layer(tensors, LAYER.format(index), precision)
    yield from _plain(tensors, LAST_NORM)
    yield from _linear(tensors, "projector", precision)
    yield from _linear(tensors, "classifier", precision)


def _layer(tensors: Safetensors, name: str, precision: Precision) -> Iterator[tuple[str, NDArray[Any]]]:
    yield from _plain(tensors, f"{name}.layer_norm")
    parts = [f"{name}.attention.{part}_proj" for part in "qkv"]
    weight = np.concatenate([tensors[f"{part}.weight"].T for part in parts], axis=1)
    bias = np.concatenate([tensors[f"{part}.bias"] for part in parts])
    yield from _dense(f"{name}.attention.qkv", weight, bias, precision)
    yield from _linear(tensors, f"{name}.attention.out_proj", precision)
    yield from _plain(tensors, f"{name}.final_layer_norm")
    yield from _linear(tensors, f"{name}.feed_forward.intermediate_dense", precision)
    yield from _linear(tensors, f"{name}.feed_forward.output_dense", precision)


def _positions(tensors: Safetensors) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The convolution over positions, whose weights are stored as directions and a length for each tap."""
    length = tensors[f"{POSITIONS}.parametrizations.weight.original0"]
    direction = tensors[f"{POSITIONS}.parametrizations.weight.original1"]
    norm = np.sqrt(np.square(direction).sum(axis=(0, 1), keepdims=True))
    yield f"{POSITIONS}.weight", (length * direction / norm)[:, :, None, :]
    yield f"{POSITIONS}.bias", tensors[f"{POSITIONS}.bias"]


def _plain(tensors: Safetensors, name: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for part in ("weight", "bias"):
        yield f"{name}.{part}", tensors[f"{name}.{part}"]


def _linear(tensors: Safetensors, name: str, precision: Precision) -> Iterator[tuple[str, NDArray[Any]]]:
    yield from _dense(name, tensors[f"{name}.weight"].T, tensors[f"{name}.bias"], precision)


def _dense(
    name: str, weight: NDArray[np.float32], bias: NDArray[np.float32], precision: Precision
) -> Iterator[tuple[str, NDArray[Any]]]:
    """A matrix ``(inputs, outputs)`` with its bias, of 8 bits where it is to be rounded."""
    yield f"{name}.bias", bias
    if is_rounded(name, precision):
        largest = np.abs(weight).max(axis=0)
        scale = np.where(largest > 0, largest / largest_weight(), 1.0).astype(np.float32)
        yield f"{name}.scale", scale
        yield f"{name}.int8", np.ascontiguousarray(np.rint(weight / scale).astype(np.int8))
    else:
        yield f"{name}.weight", np.ascontiguousarray(weight)
