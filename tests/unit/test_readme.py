"""What README and docs claim."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from benchmarks.readme import PAGES, embedded_results, with_figures

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_its_figures_are_the_recorded_ones(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert with_figures(text, page) == text, "run `python -m benchmarks.readme`"


def test_the_embedded_models_results_are_found_by_its_weights(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    (tmp_path / "first.json").write_text(json.dumps({"model": {"digest": "another's", "limit": None}}))
    with pytest.raises(ValueError, match="run `python -m training evaluate`"):
        embedded_results(tmp_path, weights)
    found = {"model": {"digest": hashlib.sha256(b"weights").hexdigest(), "limit": None}}
    (tmp_path / "second.json").write_text(json.dumps(found))
    trial = {"model": found["model"] | {"limit": 60}}
    (tmp_path / "second-limit60.json").write_text(json.dumps(trial))
    assert embedded_results(tmp_path, weights) == found
