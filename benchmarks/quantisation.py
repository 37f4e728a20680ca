"""What 8 bits cost: UAR on the ``dev`` speakers in single precision and rounded.

    python -m benchmarks.quantisation [--most 500] [--others] [--corpus nemo] [--static]

``int8`` is what the agent takes on this processor, and ``int8, seven bits`` what it takes on x86 without VNNI:
its weights are rounded more coarsely. Both take the range of each matrix product's input from the input itself;
``--static`` adds rounding by ranges from clips of ``train`` speakers that were heard before. All round the same
matrices, each output by its own scale. Beside it stands the processor time for 3 s of speech on one thread.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from unittest import mock

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ser_agent.audio import SAMPLE_RATE, float_from_pcm16
from ser_agent.audio_files import read_utterance
from ser_agent.classifiers import onnx_weights
from ser_agent.classifiers.onnx_folder import embedded_folder
from ser_agent.classifiers.onnx_model import OnnxModel
from ser_agent.classifiers.onnx_weights import Safetensors, initialisers, is_rounded
from ser_agent.classifiers.processor import LARGEST_UNSATURATED, largest_weight
from ser_agent.classifiers.sound import normalised
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Options
from training.corpora import CORPUS_LABELS, LABELS, read_manifest
from training.markdown import table
from training.onnx_graph import make_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from onnx import ModelProto

    from ser_agent.audio import Samples
    from ser_agent.classifiers.onnx_precision import Precision
    from training.corpora import Clip

RESULTS = Path(__file__).parent / "results" / "quantisation.json"
CALIBRATION_CLIPS = 64
UTTERANCE_S = 3
REPEATS = 21
FEWEST_CLIPS = 500
"""The figures of fewer are not kept."""

Classify: TypeAlias = "Callable[[Samples], NDArray[np.float64]]"


def main() -> None:
    """Measure, print a table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, default=Path(__file__).parents[2] / "shared" / "corpora")
    parser.add_argument("--most", type=int, help="take at most so many clips of each corpus, evenly")
    parser.add_argument("--others", action="store_true", help="take those that --most leaves out; keep no figures")
    parser.add_argument("--corpus", choices=CORPUS_LABELS, help="of this alone; keep no figures")
    parser.add_argument("--static", action="store_true", help="round statically, too")
    args = parser.parse_args()
    clips = [clip for clip in read_manifest(args.corpora, {}) if clip.emotion in LABELS]
    engines = {"float32": embedded("float32"), "int8": embedded("int8"), "int8, seven bits": of_seven_bits()}
    if args.static:
        calibration = spread([clip for clip in clips if clip.part == "train"], CALIBRATION_CLIPS)
        engines["int8, static"] = rounded_statically(heard(args.corpora, calibration))
    dev: list[Clip] = []
    for corpus in [args.corpus] if args.corpus else CORPUS_LABELS:
        spoken = of_dev(clips, corpus)
        chosen = spread(spoken, args.most)
        dev += [clip for clip in spoken if clip not in chosen] if args.others else chosen
    logits: dict[str, list[NDArray[np.float64]]] = {name: [] for name in engines}
    for clip in dev:
        samples = read_utterance(args.corpora / clip.path)
        for name, classify in engines.items():
            logits[name].append(classify(samples)[0])
    stacked = {name: np.stack(rows) for name, rows in logits.items()}
    figures = {name: judged(rows, stacked["float32"], dev) for name, rows in stacked.items()}
    for name, taken in processor_ms(engines, np.concatenate(heard(args.corpora, dev[:3]))).items():
        figures[name]["processor_ms"] = taken
    header = ["engine", *next(iter(figures.values()))]
    print(table(header, [[name, *map(str, row.values())] for name, row in figures.items()]))
    if len(dev) >= FEWEST_CLIPS and not (args.others or args.corpus):
        counts = {f"{corpus}_clips": sum(clip.corpus == corpus for clip in dev) for corpus in CORPUS_LABELS}
        RESULTS.write_text(json.dumps({**counts, "engines": figures}, indent=2) + "\n", encoding="utf-8")


def of_dev(clips: Sequence[Clip], corpus: str) -> Sequence[Clip]:
    """What the ``dev`` speakers of a corpus say."""
    return [clip for clip in clips if clip.part == "dev" and clip.corpus == corpus]


def heard(corpora: Path, clips: Sequence[Clip]) -> list[Samples]:
    """Clips as sound."""
    return [read_utterance(corpora / clip.path) for clip in clips]


def processor_ms(engines: Mapping[str, Classify], samples: Samples) -> dict[str, float]:
    """Median processor time of each for 3 s of speech, in milliseconds; they take turns."""
    speech = samples[: UTTERANCE_S * SAMPLE_RATE]
    taken: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(REPEATS):
        for name, classify in engines.items():
            began = time.process_time()
            classify(speech)
            taken[name].append(time.process_time() - began)
    return {name: round(1e3 * statistics.median(times), 1) for name, times in taken.items()}


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


def embedded(precision: Precision) -> Classify:
    """The embedded model as the agent has it."""
    options = Wav2Vec2Options(engine="onnx", precision=precision, threads=1)
    return OnnxModel("embedded", embedded_folder(), options).logits


def of_seven_bits() -> Classify:
    """The embedded model as the agent has it on x86 without VNNI."""
    with mock.patch.object(onnx_weights, largest_weight.__name__, return_value=LARGEST_UNSATURATED):
        return embedded("int8")


def rounded_statically(heard: Sequence[Samples]) -> Classify:
    """The embedded model with the ranges of its states fixed by clips that were heard before."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    graph = static_graph(heard)
    session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])

    def logits(samples: Samples) -> NDArray[np.float64]:
        (found,) = session.run(["logits"], {"input_values": prepared(samples)})
        return np.asarray(found, dtype=np.float64)

    return logits


def whole_graph(precision: Precision) -> ModelProto:
    """The embedded model's graph with its weights in it."""
    config = json.loads((embedded_folder() / "config.json").read_text(encoding="utf-8"))
    graph = make_graph(config, precision)
    values = dict(initialisers(Safetensors(embedded_folder() / "model.safetensors"), config, precision))
    for tensor in graph.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(values[tensor.name], tensor.name))
    return graph


def static_graph(heard: Sequence[Samples]) -> bytes:
    """The embedded model's graph, rounded with the ranges that its states have in clips."""
    graph = whole_graph("float32")
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
        return rounded.read_bytes()


def prepared(samples: Samples) -> NDArray[np.float32]:
    """What a graph takes, shape ``(1, samples)``."""
    return normalised(float_from_pcm16(samples))[None]


def spread(clips: Sequence[Clip], most: int | None) -> Sequence[Clip]:
    """At most so many clips, evenly from all."""
    if most is None or len(clips) <= most:
        return clips
    return [clips[place * len(clips) // most] for place in range(most)]


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
