"""Classifiers for the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.mqtt import PATIENCE_S
from support.remote import SOON_S

from ser_agent.classifiers import remote
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.ports import PluginContext

if TYPE_CHECKING:
    from pathlib import Path

    from support.checkpoints import MakeClassifier


@pytest.fixture
def make(tmp_path: Path) -> MakeClassifier:
    """Makes classifiers on the CPU whose relative paths count from ``tmp_path``."""

    def classifier(model: Path | str, **options: Any) -> Wav2Vec2Classifier:  # noqa: ANN401
        chosen = Wav2Vec2Options(model=str(model), device=options.pop("device", "cpu"), threads=1, **options)
        return Wav2Vec2Classifier(chosen, PluginContext("test", tmp_path))

    return classifier


@pytest.fixture
def waits_for_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A remote classifier, at its start, however long a worker takes to come."""
    monkeypatch.setattr(remote, "WORKER_S", PATIENCE_S)
    monkeypatch.setattr(remote, "SETTLE_S", 0.02)


@pytest.fixture
def waits_little(monkeypatch: pytest.MonkeyPatch, waits_for_a_worker: None) -> None:
    """It does not, where there is none."""
    monkeypatch.setattr(remote, "WORKER_S", SOON_S)
