"""A stranger's checkpoint runs no code of theirs, whatever lies in its folder or stands in its configuration."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from ser_agent.classifiers.wav2vec2 import Wav2Vec2Options
from ser_agent.errors import ModelError

if TYPE_CHECKING:
    from support.checkpoints import CheckpointBuilder, MakeClassifier

pytestmark = pytest.mark.model

PICKLES = ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "model.pt", "tokenizer.pkl")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[object, tuple[Path, str]]:
        return Path.write_text, (self._canary, "it ran")


def test_pickles_beside_the_weights_are_never_opened(
    build: CheckpointBuilder, make: MakeClassifier, tmp_path: Path
) -> None:
    folder, canary = build.raw(), tmp_path / "canary"
    for name in PICKLES:
        (folder / name).write_bytes(pickle.dumps(Trap(canary)))
    make(folder).load()
    assert not canary.exists()
    pickle.loads((folder / PICKLES[0]).read_bytes())  # noqa: S301 - the trap works
    assert canary.exists()


def test_weights_that_are_pickled_only_are_refused(
    build: CheckpointBuilder, make: MakeClassifier, tmp_path: Path
) -> None:
    folder, canary = build.raw(), tmp_path / "canary"
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(canary)))
    with pytest.raises(ModelError, match="only safetensors are taken"):
        make(folder).load()
    assert not canary.exists()


def test_code_that_the_configuration_names_is_never_run(
    build: CheckpointBuilder, make: MakeClassifier, tmp_path: Path
) -> None:
    folder, canary = build.raw(), tmp_path / "canary"
    (folder / "trap.py").write_text(f"from pathlib import Path\nPath({str(canary)!r}).write_text('it ran')\n")
    classes = {"AutoConfig": "trap.Config", "AutoModelForAudioClassification": "trap.Model"}
    for name in ("config.json", "preprocessor_config.json"):
        file = folder / name
        fields = json.loads(file.read_text()) | {"auto_map": classes | {"AutoFeatureExtractor": "trap.Extractor"}}
        file.write_text(json.dumps(fields))
    make(folder).load()
    assert not canary.exists()


@pytest.mark.parametrize("revision", ["../../elsewhere", "a/../b", "/etc", "", "a b", "refs//x", ".."])
def test_a_revision_that_is_a_path_is_refused(revision: str) -> None:
    with pytest.raises(ValidationError, match="revision"):
        Wav2Vec2Options(revision=revision)


@pytest.mark.parametrize("revision", ["main", "v1.0", "refs/pr/1", "0123456789abcdef"])
def test_branches_tags_and_commits_are_taken(revision: str) -> None:
    assert Wav2Vec2Options(revision=revision).revision == revision


@pytest.mark.parametrize("name", ["a/..", "-a/b", "a/b;c", "a/b c", "a/b\0c"])
def test_a_hub_id_that_could_lead_elsewhere_is_refused(make: MakeClassifier, name: str) -> None:
    with pytest.raises(ModelError, match=r"neither a folder nor a hub id|no folder"):
        make(name).load()
