"""What a checkpoint's folder must hold. Needs no torch: the files are written by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ser_agent.classifiers.folder import check_folder, weights_files
from ser_agent.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

HEADER = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
SOUND = len(HEADER).to_bytes(8, "little") + HEADER + bytes(8)
CONFIG = {"config.json": b'{"model_type": "wav2vec2"}'}
EXTRACTOR = {"preprocessor_config.json": b"{}"}
GOOD = {**CONFIG, **EXTRACTOR, "model.safetensors": SOUND}


NESTED = b"[" * 100_000
"""Deeper than any reader of JSON follows."""


def with_span(begin: int, end: int) -> bytes:
    """A safetensors file whose one tensor says to lie there."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [begin, end]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(8)


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def index(*shards: str) -> bytes:
    return json.dumps({"weight_map": {f"w{number}": shard for number, shard in enumerate(shards)}}).encode()


@pytest.mark.parametrize(
    "files",
    [
        GOOD,
        {**CONFIG, "processor_config.json": b"{}", "model.safetensors": SOUND},
        {**CONFIG, **EXTRACTOR, "model.safetensors.index.json": index("a.safetensors"), "a.safetensors": SOUND},
        {**GOOD, "pytorch_model.bin": b"pickle", "training_args.bin": b"pickle"},
    ],
)
def test_a_whole_checkpoint_passes(tmp_path: Path, files: dict[str, bytes]) -> None:
    check_folder("m", written(tmp_path, files))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ("no config.json",)),
        ({"config.json": b"{oops"}, ("config.json is not JSON",)),
        ({"config.json": b"\xff\xfe"}, ("config.json is not JSON",)),
        ({"config.json": b"[]"}, ("names no model_type",)),
        ({"config.json": b"{}"}, ("names no model_type",)),
        ({**CONFIG, **EXTRACTOR}, ("no weights", "safetensors")),
        ({**CONFIG, **EXTRACTOR, "training_args.bin": b"x"}, ("no weights",)),
        (
            {**CONFIG, **EXTRACTOR, "pytorch_model.bin": b"x"},
            ("only as pytorch_model.bin", "run code", "revision"),
        ),
        ({**CONFIG, **EXTRACTOR, "tf_model.h5": b"x"}, ("no weights", "only tf_model.h5")),
        ({**CONFIG, "model.safetensors": SOUND}, ("no preprocessor_config.json", "copy")),
        ({**GOOD, "model.safetensors": SOUND[:-3]}, ("damaged", f"{len(SOUND) - 3} bytes", "again")),
        ({**GOOD, "model.safetensors": b""}, ("damaged",)),
        ({**GOOD, "model.safetensors": b"<html>404</html>"}, ("damaged",)),
        ({**GOOD, "model.safetensors": b"\x05" + bytes(7) + b"[1,2]"}, ("damaged",)),
        ({**GOOD, "model.safetensors": b"version https://git-lfs.github.com/spec/v1\n"}, ("git lfs pull",)),
        (
            {**CONFIG, **EXTRACTOR, "model.safetensors.index.json": index("a.safetensors")},
            ("a.safetensors is missing",),
        ),
        ({**CONFIG, **EXTRACTOR, "model.safetensors.index.json": b"{}"}, ("no index of weights",)),
        ({**CONFIG, **EXTRACTOR, "model.safetensors.index.json": NESTED}, ("no index of weights",)),
        *(
            (
                {**CONFIG, **EXTRACTOR, "model.safetensors.index.json": index(elsewhere)},
                ("no safetensors file beside",),
            )
            for elsewhere in ("../a.safetensors", "/etc/a.safetensors", "b/../a.safetensors", "a.bin", "..", "")
        ),
        ({"config.json": NESTED}, ("config.json is not JSON",)),
        ({"config.json": b" " * 10_000_001}, ("no configuration",)),
        ({**GOOD, "model.safetensors": len(NESTED).to_bytes(8, "little") + NESTED}, ("damaged",)),
        ({**GOOD, "model.safetensors": b"\xff" * 8 + HEADER}, ("damaged",)),
        ({**GOOD, "model.safetensors": with_span(8, 0)}, ("damaged",)),
        ({**GOOD, "model.safetensors": with_span(-8, 8)}, ("damaged",)),
        ({"hyperparams.yaml": b"", "model.ckpt": b"x"}, ("SpeechBrain", "another framework")),
        ({"hyperparams.yaml": b"", "config.json": b'{"speechbrain_interface": "x"}'}, ("SpeechBrain",)),
        ({"config.yaml": b"", "configuration.json": b"{}", "model.pt": b"x"}, ("FunASR",)),
        ({"model.pt": b"x"}, ("FunASR or fairseq",)),
        ({"model.nemo": b"x"}, ("NeMo",)),
        ({"adapter_config.json": b"{}", "adapter_model.safetensors": SOUND}, ("PEFT",)),
    ],
)
def test_what_is_missing_broken_or_foreign_is_named(
    tmp_path: Path, files: dict[str, bytes], words: tuple[str, ...]
) -> None:
    with pytest.raises(ModelError) as raised:
        check_folder("mine", written(tmp_path, files))
    for word in ("model mine", str(tmp_path), *words):
        assert word in str(raised.value)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no folder .*nowhere"):
        check_folder("m", tmp_path / "nowhere")


def test_the_weights_of_a_sharded_checkpoint_are_all_its_shards(tmp_path: Path) -> None:
    names = ("b.safetensors", "a.safetensors", "b.safetensors")
    files = {"model.safetensors.index.json": index(*names), "a.safetensors": SOUND, "b.safetensors": SOUND}
    assert [path.name for path in weights_files("m", written(tmp_path, files))] == [
        "a.safetensors",
        "b.safetensors",
    ]
