"""A checkpoint as a folder for ONNX Runtime, compared with what it was made from. Needs torch and onnx."""

from __future__ import annotations

import logging
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from ser_agent.classifiers.folder import CONFIG, EXTRACTORS
from ser_agent.classifiers.onnx_folder import GRAPH
from ser_agent.errors import ModelError
from ser_agent.ports import distribution_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ser_agent.classifiers.checkpoint import Checkpoint
    from ser_agent.classifiers.onnx_precision import Precision
    from ser_agent.ports import Answer, Distribution

_PRODUCTS: Final = ["MatMul", "Gemm"]
_IN_A_LAYER: Final = "/layers."
_FIRST_ATTENTION: Final = "/layers.0/attention/"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two models answer.

    Attributes:
        utterances: that both were asked about.
        largest_difference: of a label's probability.
        same_best: share of utterances with the same answer: the same best label, or of both that nobody spoke.
    """

    utterances: int
    largest_difference: float
    same_best: float


def write_folder(checkpoint: Checkpoint, target: Path, precision: Precision) -> None:
    """Write a checkpoint's graph, and beside it the files that say how to read its answers.

    Args:
        checkpoint: loaded on the processor.
        target: is made where it is missing.
        precision: of the matrices; what else there is stays in single precision.

    Raises:
        ModelError: it hears no waveform, or cannot be traced; or the target is the checkpoint itself.
    """
    source = checkpoint.folder
    if target.resolve() == source.resolve():
        raise ModelError(f"{target} is the checkpoint itself: name another folder")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        traced = Path(scratch) / GRAPH
        checkpoint.trace(traced)
        if precision == "int8":
            rounded = Path(scratch) / f"int8-{GRAPH}"
            with _no_advice():
                quantize_dynamic(
                    traced,
                    rounded,
                    op_types_to_quantize=_PRODUCTS,
                    nodes_to_exclude=_exact(traced),
                    per_channel=True,
                    reduce_range=True,  # so that it computes the same on every processor
                    weight_type=QuantType.QInt8,
                )
            traced = rounded
        traced.replace(target / GRAPH)
    for file in (CONFIG, *EXTRACTORS):
        if (source / file).is_file():
            shutil.copyfile(source / file, target / file)


def _exact(traced: Path) -> list[str]:
    """The products that stay in single precision: all before the layers and after, and the first attention's.

    As in the embedded model, they cost the most accuracy for the least time. Where a model has no layers by that
    name, none does.
    """
    graph = onnx.load(str(traced), load_external_data=False).graph
    products = [node.name for node in graph.node if node.op_type in _PRODUCTS]
    if not any(_IN_A_LAYER in name for name in products):
        return []
    exact = [name for name in products if _IN_A_LAYER not in name or _FIRST_ATTENTION in name]
    # The quantiser first makes a Gemm a MatMul of another name.
    return exact + [f"{name}_MatMul" for name in exact]


def agreement(first: Sequence[Answer], second: Sequence[Answer]) -> Agreement:
    """Compare what two models answered to the same utterances, at least one."""
    differences = [0.0]
    same = 0
    for one, other in zip(map(distribution_of, first), map(distribution_of, second), strict=True):
        same += _best(one) == _best(other)
        if one is not None and other is not None:
            differences += [abs(one[label] - other[label]) for label in one]
    return Agreement(len(first), max(differences), same / len(first))


def _best(distribution: Distribution | None) -> str | None:
    return None if distribution is None else max(distribution, key=distribution.__getitem__)


@contextmanager
def _no_advice() -> Iterator[None]:
    """Keep the quantiser's hints on how to call it out of the log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
