"""Checkpoints of the hub: from the cache, and from the network only where allowed."""

from __future__ import annotations

import importlib
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from ser_agent.errors import ModelError
from ser_agent.testing import check_classifier

if TYPE_CHECKING:
    from support.checkpoints import CheckpointBuilder, MakeClassifier

pytestmark = pytest.mark.model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB_ID = "someone/emotions"

FRESH_PROCESS = """
import socket, sys

def refuse(*_, **__):
    raise AssertionError("the network was touched")

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = refuse

from pathlib import Path
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.ports import PluginContext
from ser_agent.testing import check_classifier

for folder in sys.argv[1:]:
    options = Wav2Vec2Options(model=folder, device="cpu", threads=1)
    check_classifier(Wav2Vec2Classifier(options, PluginContext("test", Path("/"))))
heavy = {"scipy", "sklearn", "librosa", "pandas", "torchaudio"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.fixture
def cache(build: CheckpointBuilder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub, and a network that is down."""

    def down(*_: object) -> NoReturn:
        raise OSError("the network is down")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, down)
    monkeypatch.setattr(socket, "getaddrinfo", down)
    folder = tmp_path / "hub"
    monkeypatch.setattr(importlib.import_module("huggingface_hub.constants"), "HF_HUB_CACHE", str(folder))
    return folder


def put(cache: Path, checkpoint: Path, *, commit: str = COMMIT) -> Path:
    """Lay a checkpoint into the cache as the hub's library does."""
    repository = cache / f"models--{HUB_ID.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit, encoding="utf-8")
    return Path(shutil.copytree(checkpoint, repository / "snapshots" / commit))


def test_a_model_in_the_cache_loads_without_the_network(
    build: CheckpointBuilder, make: MakeClassifier, cache: Path
) -> None:
    put(cache, build.raw())
    classifier = make(HUB_ID)
    assert classifier.load().name == f"{HUB_ID}@{COMMIT[:8]}"
    check_classifier(classifier)


@pytest.mark.parametrize("allowed", [False, True])
def test_what_is_in_the_cache_is_taken_as_it_is(
    build: CheckpointBuilder,
    make: MakeClassifier,
    cache: Path,
    allowed: bool,  # noqa: FBT001
) -> None:
    put(cache, build.raw())
    assert make(HUB_ID, revision="main", allow_download=allowed).load().name == f"{HUB_ID}@main"


@pytest.mark.parametrize("revision", [None, "v2"])
def test_a_model_that_is_not_in_the_cache_is_refused_with_the_key_to_set(
    make: MakeClassifier, cache: Path, revision: str | None
) -> None:
    with pytest.raises(ModelError, match="allow_download: true") as raised:
        make(HUB_ID, revision=revision).load()
    assert HUB_ID in str(raised.value)
    assert (f"revision {revision}" in str(raised.value)) == (revision is not None)


def test_a_download_that_fails_says_why(make: MakeClassifier, cache: Path) -> None:
    with pytest.raises(ModelError, match=f"model {HUB_ID}: cannot be downloaded from the Hugging Face hub: ."):
        make(HUB_ID, allow_download=True).load()


def test_a_hub_id_that_can_be_none_is_refused(make: MakeClassifier, cache: Path) -> None:
    with pytest.raises(ModelError, match="neither a folder nor a hub id"):
        make("some one/emo?tions").load()


def test_what_the_cache_lacks_is_downloaded_where_allowed(
    build: CheckpointBuilder, make: MakeClassifier, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    whole = build.raw()
    (put(cache, whole) / "model.safetensors").unlink()

    def download(name: str, **wishes: Any) -> str:  # noqa: ANN401
        asked.append({"name": name, **wishes})
        return str(shutil.copytree(whole, cache / "downloaded"))

    monkeypatch.setattr("ser_agent.classifiers.hub.snapshot_download", download)
    check_classifier(make(HUB_ID, revision="v2", allow_download=True))
    assert [(wish["name"], wish["revision"]) for wish in asked] == [(HUB_ID, "v2")]
    assert not any(pattern.endswith((".bin", ".py")) for pattern in asked[0]["allow_patterns"])


@pytest.mark.timeout(300)  # importing torch takes its time on a busy machine
def test_loading_is_silent_touches_no_network_and_imports_nothing_heavy(build: CheckpointBuilder) -> None:
    folders = [str(build.raw()), str(build.raw("wavlm"))]
    command = [sys.executable, "-c", FRESH_PROCESS, *folders]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=280)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
