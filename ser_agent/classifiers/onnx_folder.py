"""Which folders ONNX Runtime can serve, and what they say of their model. Pure: reads files, imports no engine."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from ser_agent.classifiers.folder import CONFIG, EXTRACTORS, check_folder
from ser_agent.classifiers.inspection import check_config, check_extractor
from ser_agent.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

GRAPH: Final = "model.onnx"
"""The graph with its weights, as ``ser-agent export`` writes it."""

_SHAPE: Final = (
    "model_type",
    "conv_bias",
    "conv_dim",
    "conv_kernel",
    "conv_stride",
    "feat_extract_activation",
    "feat_extract_norm",
    "hidden_size",
    "num_conv_pos_embeddings",
    "num_conv_pos_embedding_groups",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "layer_norm_eps",
    "do_stable_layer_norm",
    "adapter_attn_dim",
    "add_adapter",
    "use_weighted_layer_sum",
    "classifier_proj_size",
)
"""What the graphs of ``ser_agent/model`` depend on, beside the number of labels."""


def embedded_folder() -> Path:
    """The folder of the embedded model."""
    return Path(str(files("ser_agent"))) / "model"


def is_exported(folder: Path) -> bool:
    """Whether ``ser-agent export`` has made a folder."""
    return (folder / GRAPH).is_file()


def has_embedded_shape(folder: Path) -> bool:
    """Whether the embedded model's graphs fit a checkpoint: it is that model, or one that was trained like it."""
    try:
        config = json.loads((folder / CONFIG).read_bytes())
        return isinstance(config, dict) and _shape(config) == _embedded_shape()
    except (OSError, ValueError, TypeError):
        return False  # what is wrong with it, whoever loads it tells


def describe(name: str, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a model's folder says of the model and of the sound that it wants, checked.

    Args:
        name: how messages call the model.
        folder: of an exported model, or of a checkpoint of the embedded model's shape.

    Returns:
        The contents of ``config.json`` and of ``preprocessor_config.json``.

    Raises:
        ModelError: a file is missing or broken, or the model doesn't fit.
    """
    if not is_exported(folder):
        check_folder(name, folder)
        if not has_embedded_shape(folder):
            raise ModelError(
                f"model {name}: ONNX Runtime needs it exported once, with torch: "
                f"`ser-agent export {folder} FOLDER`, then `classifier: {{model: FOLDER}}`"
            )
    config = _read(name, folder / CONFIG)
    labels = config.get("id2label")
    if not isinstance(labels, dict) or not all(index.isdecimal() for index in labels):
        raise ModelError(f"model {name}: {folder / CONFIG} names no labels (id2label)")
    check_config(name, SimpleNamespace(id2label=labels, problem_type=config.get("problem_type")))
    extractor = _read(
        name, next((folder / file for file in EXTRACTORS if (folder / file).is_file()), folder / CONFIG)
    )
    check_extractor(name, SimpleNamespace(**extractor))
    return config, extractor


def _read(name: str, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"model {name}: {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"model {name}: {path} holds no keys")
    return content


@cache
def _embedded_shape() -> tuple[Any, ...]:
    return _shape(json.loads((embedded_folder() / CONFIG).read_bytes()))


def _shape(config: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*(config.get(key) for key in _SHAPE), len(config.get("id2label", ())))
