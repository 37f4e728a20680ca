"""What 8 bits cost: UAR on the ``dev`` speakers in single precision and rounded, dynamically and statically.

    python -m benchmarks.quantisation [--every 1]

Dynamic rounding takes the range of each matrix product's input from the input itself, static rounding from clips
of ``train`` speakers that were heard before. Both round the same matrices, each output by its own scale.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ser_agent.audio import float_from_pcm16
from ser_agent.audio_files import read_utterance
from ser_agent.classifiers.onnx_folder import embedded_folder
from ser_agent.classifiers.onnx_model import OnnxModel
from ser_agent.classifiers.onnx_weights import Safetensors, initialisers, is_rounded
from ser_agent.classifiers.sound import normalised
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Options
from training.corpora import CORPUS_LABELS, LABELS, read_manifest
from training.markdown import table
from training.onnx_graph import make_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from ser_agent.audio import Samples
    from training.corpora import Clip

RESULTS = Path(__file__).parent / "results" / "quantisation.json"
CALIBRATION_CLIPS = 64
FEWEST_CLIPS = 500
"""The figures of fewer are not kept."""

Classify: TypeAlias = "Callable[[Samples], NDArray[np.float64]]"


def main() -> None:
    """Measure, print a table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, default=Path(__file__).parents[2] / "shared" / "corpora")
    parser.add_argument("--every", type=int, default=1, help="take every n-th clip alone, for a trial")
    args = parser.parse_args()
    clips = [clip for clip in read_manifest(args.corpora, {}) if clip.emotion in LABELS]
    calibration = [clip for clip in clips if clip.part == "train"]
    heard = [read_utterance(args.corpora / clip.path) for clip in spread(calibration, CALIBRATION_CLIPS)]
    dev = [clip for clip in clips if clip.part == "dev"][:: args.every]
    engines = {
        "float32": embedded("float32"),
        "int8, dynamic": embedded("int8"),
        "int8, static": rounded_statically(heard),
    }
    logits: dict[str, list[NDArray[np.float64]]] = {name: [] for name in engines}
    for clip in dev:
        samples = read_utterance(args.corpora / clip.path)
        for name, classify in engines.items():
            logits[name].append(classify(samples)[0])
    stacked = {name: np.stack(rows) for name, rows in logits.items()}
    figures = {name: judged(rows, stacked["float32"], dev) for name, rows in stacked.items()}
    header = ["engine", *next(iter(figures.values()))]
    print(table(header, [[name, *map(str, row.values())] for name, row in figures.items()]))
    if len(dev) >= FEWEST_CLIPS:
        kept = {"clips": len(dev), "engines": figures}
        RESULTS.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def judged(logits: NDArray[np.float64], exact: NDArray[np.float64], clips: Sequence[Clip]) -> dict[str, float]:
    """UAR of each corpus among its own labels, and how alike the answers are to those in single precision."""
    figures: dict[str, float] = {}
    for corpus, labels in CORPUS_LABELS.items():
        rows = [row for row, clip in enumerate(clips) if clip.corpus == corpus]
        if rows:
            columns = [LABELS.index(label) for label in labels]
            best = np.array(labels)[logits[rows][:, columns].argmax(axis=1)]
            truth = np.array([clips[row].emotion for row in rows])
            recalls = [float((best[truth == label] == label).mean()) for label in labels if (truth == label).any()]
            figures[f"{corpus}_uar"] = round(float(np.mean(recalls)), 4)
    spoken = slice(0, len(LABELS))
    one, other = softmax(logits[:, spoken]), softmax(exact[:, spoken])
    figures["same_best"] = round(float((one.argmax(axis=1) == other.argmax(axis=1)).mean()), 4)
    figures["probability_differs_mean"] = round(float(np.abs(one - other).mean()), 4)
    figures["probability_differs_most"] = round(float(np.abs(one - other).max()), 4)
    return figures


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities, shape ``(clips, labels)``."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def embedded(precision: Literal["int8", "float32"]) -> Classify:
    """The embedded model as the agent has it."""
    options = Wav2Vec2Options(engine="onnx", precision=precision, threads=1)
    return OnnxModel("embedded", embedded_folder(), options).logits


def rounded_statically(heard: Sequence[Samples]) -> Classify:
    """The embedded model with the ranges of its states fixed by clips that were heard before."""
    config = json.loads((embedded_folder() / "config.json").read_text(encoding="utf-8"))
    graph = make_graph(config, "float32")
    values = dict(initialisers(Safetensors(embedded_folder() / "model.safetensors"), config, "float32"))
    for tensor in graph.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    exact = [
        node.name
        for node in graph.graph.node
        if node.op_type == "MatMul" and not is_rounded(node.input[1].removesuffix(".weight"), "int8")
    ]
    with tempfile.TemporaryDirectory() as scratch:
        whole, rounded = Path(scratch) / "whole.onnx", Path(scratch) / "rounded.onnx"
        onnx.save(graph, whole)
        quantize_static(
            whole,
            rounded,
            _Heard(heard),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            nodes_to_exclude=exact,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QUInt8,
        )
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(rounded.read_bytes(), settings, providers=["CPUExecutionProvider"])

    def logits(samples: Samples) -> NDArray[np.float64]:
        (found,) = session.run(["logits"], {"input_values": prepared(samples)})
        return np.asarray(found, dtype=np.float64)

    return logits


def prepared(samples: Samples) -> NDArray[np.float32]:
    """What a graph takes, shape ``(1, samples)``."""
    return normalised(float_from_pcm16(samples))[None]


def spread(clips: Sequence[Clip], count: int) -> Sequence[Clip]:
    """So many clips, evenly from all."""
    return clips[:: max(1, len(clips) // count)][:count]


class _Heard(CalibrationDataReader):  # type: ignore[misc]
    """Clips for the quantiser, one after the other."""

    def __init__(self, heard: Sequence[Samples]) -> None:
        self._rest = iter(heard)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        samples = next(self._rest, None)
        return None if samples is None else {"input_values": prepared(samples)}


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # the quantiser's advice on how to call it
    main()
