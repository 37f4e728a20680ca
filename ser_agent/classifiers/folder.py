"""What a folder must hold to be a checkpoint that can be loaded safely. Pure: reads files, needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ser_agent.errors import ModelError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_SUFFIX = ".safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
EXTRACTORS = ("preprocessor_config.json", "processor_config.json")

_FOREIGN = {
    "hyperparams.yaml": "SpeechBrain",
    "configuration.json": "FunASR (ModelScope)",
    "model.pt": "FunASR or fairseq",
    "adapter_config.json": "PEFT (an adapter without its base model)",
}
_FOREIGN_SUFFIXES = {
    "*.nemo": "NeMo",
    "*.onnx": "ONNX",
    "*.ckpt": "Lightning or SpeechBrain",
    "*.h5": "TensorFlow",
}
_PICKLED = ("pytorch_model*.bin", "*model*.pt", "*model*.pth", "*.ckpt")
_OTHER_WEIGHTS = ("*.safetensors", "*.h5", "*.msgpack", "*.onnx")
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000
_MAX_CONFIG_BYTES = 10_000_000
_LFS_POINTER = b"version https://git-lfs"


def check_folder(name: str, folder: Path) -> None:
    """Look for everything that loading needs, before anything heavy is imported or read.

    Args:
        name: how messages call the model.
        folder: of a Hugging Face checkpoint.

    Raises:
        ModelError: a file is missing or broken, or the checkpoint is of another framework.
    """
    if not folder.is_dir():
        raise ModelError(f"model {name}: there is no folder {folder}")
    config = _read_config(name, folder)
    for file in weights_files(name, folder):
        if fault := _safetensors_fault(file):
            raise ModelError(f"model {name}: {file} {fault}")
    in_config = "feature_extractor_type" in config
    if not in_config and not any((folder / file).is_file() for file in EXTRACTORS):
        raise ModelError(
            f"model {name}: {folder} has no {EXTRACTORS[0]}, so how the model wants its sound is unknown: "
            "copy that file from the checkpoint that the model was made from"
        )


def weights_files(name: str, folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint.

    Raises:
        ModelError: there are none.
    """
    return [folder / WEIGHTS] if (folder / WEIGHTS).is_file() else _shards(name, folder)


def _read_config(name: str, folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"model {name}: {_foreign(folder) or f'{folder} has no {CONFIG}: it is no checkpoint'}")
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise ModelError(f"model {name}: {path} has more than {_MAX_CONFIG_BYTES:,} bytes: it is no configuration")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise ModelError(f"model {name}: {path} is not JSON: {error}") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise ModelError(f"model {name}: {_foreign(folder) or f'{path} names no model_type'}")
    return config


def _foreign(folder: Path) -> str | None:
    """Whose checkpoint this is, where it is not Hugging Face's."""
    frameworks = [framework for file, framework in _FOREIGN.items() if (folder / file).exists()]
    frameworks += [framework for pattern, framework in _FOREIGN_SUFFIXES.items() if any(folder.glob(pattern))]
    if not frameworks:
        return None
    return (
        f"{folder} is a checkpoint of another framework, {frameworks[0]}: "
        "only Hugging Face audio-classification checkpoints can be loaded"
    )


def _shards(name: str, folder: Path) -> list[Path]:
    index = folder / WEIGHTS_INDEX
    if index.is_file():
        try:
            shards = sorted({str(shard) for shard in json.loads(index.read_bytes())["weight_map"].values()})
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(f"model {name}: {index} is no index of weights: {error!r}") from error
        for shard in shards:
            if Path(shard).name != shard or not shard.endswith(_SUFFIX):
                raise ModelError(f"model {name}: {index} names {shard!r}, which is no safetensors file beside it")
        return [folder / shard for shard in shards]
    pickled = sorted(file.name for pattern in _PICKLED for file in folder.glob(pattern))
    others = sorted(file.name for pattern in _OTHER_WEIGHTS for file in folder.glob(pattern))
    if pickled:
        raise ModelError(
            f"model {name}: {folder} has its weights only as {', '.join(pickled)}: loading pickled weights can "
            "run code, so only safetensors are taken. Take a `revision` that has them, or save it again with "
            "save_pretrained() where you trust its author"
        )
    found = f", only {', '.join(others)}" if others else ""
    raise ModelError(
        f"model {name}: {folder} has no weights: no {WEIGHTS}{found}. Weights in other formats are not loaded: "
        "take a checkpoint, or a `revision` of it, that has safetensors"
    )


def _safetensors_fault(path: Path) -> str | None:
    """What is wrong with a safetensors file, judged by its header and its length."""
    if not path.is_file():
        return "is missing, though the index of weights names it"
    actual = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(max(_LENGTH_BYTES, len(_LFS_POINTER)))
        if start == _LFS_POINTER:
            return "is a pointer of git-lfs, not the weights: run `git lfs pull` in its folder"
        header_bytes = int.from_bytes(start[:_LENGTH_BYTES], "little")
        if header_bytes > min(actual, _MAX_HEADER_BYTES):
            return "is damaged: it does not start as safetensors do. Fetch it again"
        file.seek(_LENGTH_BYTES)
        raw = file.read(header_bytes)
    try:
        tensors = {key: value for key, value in json.loads(raw).items() if key != "__metadata__"}
        spans = [tuple(map(int, tensor["data_offsets"])) for tensor in tensors.values()]
        ends = [end for begin, end in spans if 0 <= begin <= end]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return "is damaged: its header is not that of safetensors. Fetch it again"
    expected = _LENGTH_BYTES + header_bytes + max(ends, default=0)
    if len(ends) < len(spans) or actual != expected:
        return f"is damaged: it has {actual:,} bytes instead of {expected:,}. Fetch it again"
    return None
