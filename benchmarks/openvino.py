"""Whether OpenVINO is faster than ONNX Runtime: processor time for 3 s of speech, and how far its answers are off.

    pip install --no-deps --target FOLDER openvino
    PYTHONPATH=FOLDER python -m benchmarks.openvino

Both run the embedded model's graphs on one thread, in turns: in single precision, rounded as the agent rounds, and
rounded statically, which is what OpenVINO is made for. OpenVINO computes in bfloat16 where the processor can,
unless it is told not to; it is measured both ways. Answers are compared with ONNX Runtime's in single precision.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from benchmarks.quantisation import (
    CALIBRATION_CLIPS,
    heard,
    of_dev,
    prepared,
    processor_ms,
    softmax,
    spread,
    static_graph,
    whole_graph,
)
from training.corpora import CORPUS_LABELS, LABELS, read_manifest
from training.markdown import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.quantisation import Classify
    from ser_agent.audio import Samples

RESULTS = Path(__file__).parent / "results" / "openvino.json"
CLIPS = 20
"""Of each corpus, to compare answers on."""
_EXACT_ENGINE = "ONNX Runtime, float32"


def main() -> None:
    """Measure, print a table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, default=Path(__file__).parents[2] / "shared" / "corpora")
    args = parser.parse_args()
    openvino = importlib.import_module("openvino")  # no dependency of the project
    clips = [clip for clip in read_manifest(args.corpora, {}) if clip.emotion in LABELS]
    calibration = spread([clip for clip in clips if clip.part == "train"], CALIBRATION_CLIPS)
    engines = all_engines(openvino, static_graph(heard(args.corpora, calibration)))
    chosen = [clip for corpus in CORPUS_LABELS for clip in spread(of_dev(clips, corpus), CLIPS)]
    sounds = heard(args.corpora, chosen)
    off = differences(engines, sounds)
    times = processor_ms(engines, np.concatenate(sounds[:3]))
    rows = {name: {"processor_ms": times[name], **off[name]} for name in engines}
    print(
        table(
            ["engine", *next(iter(rows.values()))], [[name, *map(str, row.values())] for name, row in rows.items()]
        )
    )
    kept = {"openvino": openvino.__version__, "onnxruntime": onnxruntime.__version__, "clips": len(chosen)}
    RESULTS.write_text(json.dumps(kept | {"engines": rows}, indent=2) + "\n", encoding="utf-8")


def all_engines(openvino: Any, static: bytes) -> dict[str, Classify]:  # noqa: ANN401
    """Every runtime with every graph that it is measured with."""
    exact, dynamic = (whole_graph(precision).SerializeToString() for precision in ("float32", "int8"))
    return {
        _EXACT_ENGINE: in_onnx_runtime(exact),
        "ONNX Runtime, int8": in_onnx_runtime(dynamic),
        "ONNX Runtime, int8 static": in_onnx_runtime(static),
        "OpenVINO, float32": in_openvino(openvino, exact, "f32"),
        "OpenVINO, bfloat16": in_openvino(openvino, exact, "bf16"),
        "OpenVINO, int8": in_openvino(openvino, dynamic, "f32"),
        "OpenVINO, int8 static": in_openvino(openvino, static, "f32"),
        "OpenVINO, int8 static and bfloat16": in_openvino(openvino, static, "bf16"),
    }


def in_onnx_runtime(graph: bytes) -> Classify:
    """A graph in ONNX Runtime, on one thread."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, settings, providers=["CPUExecutionProvider"])

    def logits(samples: Samples) -> NDArray[np.float64]:
        (found,) = session.run(["logits"], {"input_values": prepared(samples)})
        return np.asarray(found, dtype=np.float64)

    return logits


def in_openvino(openvino: Any, graph: bytes, precision: str) -> Classify:  # noqa: ANN401
    """A graph in OpenVINO, on one thread, with what is not of 8 bits in that precision."""
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": precision}
    request = core.compile_model(core.read_model(graph), "CPU", settings).create_infer_request()

    def logits(samples: Samples) -> NDArray[np.float64]:
        return np.array(request.infer({0: prepared(samples)})[0], dtype=np.float64)

    return logits


def differences(engines: dict[str, Classify], sounds: Sequence[Samples]) -> dict[str, dict[str, float]]:
    """How far the emotions' probabilities are from those of the exact engine."""
    spoken = slice(0, len(LABELS))
    found = {
        name: softmax(np.concatenate([classify(samples) for samples in sounds])[:, spoken])
        for name, classify in engines.items()
    }
    exact = found[_EXACT_ENGINE]
    return {
        name: {
            "same_best": round(float((shares.argmax(axis=1) == exact.argmax(axis=1)).mean()), 4),
            "probability_differs_mean": round(float(np.abs(shares - exact).mean()), 4),
            "probability_differs_most": round(float(np.abs(shares - exact).max()), 4),
        }
        for name, shares in found.items()
    }


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # the quantiser's advice on how to call it
    main()
