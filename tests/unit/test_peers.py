"""The comparison with peers: what it counts, and what it keeps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

pytest.importorskip("librosa")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from benchmarks import peers, peers_files, peers_streams
from ser_agent.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.model


def test_what_is_not_measured_again_stays_as_it_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "peers.json"
    monkeypatch.setattr(peers, "RESULTS", results)
    for part, figures in (("files", 1), ("clips", 2), ("files", 3)):
        peers.keep(part, figures)
    assert json.loads(results.read_text(encoding="utf-8")) == {"clips": 2, "files": 3}


def test_ratios_are_of_the_rounds_of_one_run() -> None:
    found = peers.ratios(np.array([2.0, 6.0, 9.0]), np.array([1.0, 2.0, 1.0]))
    assert found == {"times_ours": 3.0, "times_ours_least": 2.0, "times_ours_most": 9.0}


def test_the_clips_are_of_three_seconds_and_differ(tmp_path: Path) -> None:
    clips = [soundfile.read(path, dtype="int16") for path in peers_files.write_clips(tmp_path / "clips", 3)]
    assert [(len(samples), rate) for samples, rate in clips] == 3 * [(3 * SAMPLE_RATE, SAMPLE_RATE)]
    assert len({samples.tobytes() for samples, _ in clips}) == 3


@pytest.mark.timeout(300)
def test_folders_are_heard_by_a_process_of_their_own_and_told_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers_files, "ROUNDS", 1)
    monkeypatch.setattr(peers_files, "PEER_FILES", 2)
    heard: list[Path] = []
    figures = peers_files.measure_files([2], peer=heard.append)
    assert len(heard) == 3  # one to warm up
    assert len(figures["paper_times_ours"]) == 1
    assert figures["start_cpu_s"] > 0.0
    assert figures["rows"]["2"]["files_a_cpu_second"] is None  # nearly all of it was the start
    assert figures["rows"]["2"]["peak_mb"] > 1.0


def test_each_stream_is_heard_with_a_detector_of_its_own() -> None:
    told = peers_streams.heard(3, 8.0)
    assert told["utterances_a_minute"] > 0.0
    assert told["cpu_ms_a_second"] > 0.0
