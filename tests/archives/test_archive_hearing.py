"""Who hears an archive: the same as one machine, from what travels."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

pytest.importorskip("pyarrow")

from ser_agent.app import Workshop
from ser_agent.archives.hearing import Hearer
from ser_agent.archives.job import answers_depend_on, make_job
from ser_agent.archives.records import as_record
from ser_agent.config import load
from ser_agent.errors import ModelError, UnavailableError
from ser_agent.ports import Unanswered
from ser_agent.testing import FakeClassifier

if TYPE_CHECKING:
    from support.command_line import Command

DATA = Path(__file__).resolve().parents[1] / "data"
CLIPS = sorted(DATA.glob("*.opus"))


@pytest.fixture
def recordings(tmp_path: Path) -> list[str]:
    """Good ones, an evening of two sentences, one in which nobody speaks, and bad ones."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for clip in CLIPS[:3]:
        shutil.copy(clip, folder)
    speech, rate = soundfile.read(CLIPS[3], dtype="int16")
    pause = np.zeros(rate * 2, np.int16)
    soundfile.write(folder / "evening.flac", np.concatenate([speech, pause, speech, pause]), rate)
    soundfile.write(folder / "hum.wav", np.full(rate, 3, np.int16), rate)
    (folder / "text.wav").write_text("no sound")
    (folder / "void.wav").touch()
    return [str(path) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("options", [(), ("--segment",), ("--top", "all")])
def test_rows_are_what_classify_says_event_for_event(
    ser_agent: Command, recordings: list[str], options: tuple[str, ...]
) -> None:
    here = ser_agent("classify", "--jsonl", *options, *recordings)
    how = make_job(load(), segment="--segment" in options, top=None if "all" in options else 3)
    rows = Hearer(how).rows(recordings)
    assert [as_record(row) for row in rows if row["start_s"] is not None] == here.records
    assert len(here.records) >= len(CLIPS[:3])
    errors = [row["error"] for row in rows if row["error"] is not None]
    assert sorted(errors) == sorted(line.removeprefix("ser-agent: ") for line in complaints(here.err))
    assert {row["file"] for row in rows} == set(recordings)


def complaints(err: str) -> list[str]:
    """What was complained of; that nobody speaks in a file is no complaint."""
    return [line for line in err.splitlines() if line.startswith("ser-agent: ")]


def test_a_file_in_which_nobody_speaks_has_a_row_that_says_nothing(recordings: list[str]) -> None:
    (hum,) = (file for file in recordings if file.endswith("hum.wav"))
    (row,) = Hearer(make_job(load(), segment=True, top=3)).rows([hum])
    assert row["file"] == hum
    assert (row["start_s"], row["emotion"], row["emotions"], row["error"]) == (None, None, [], None)


def test_an_utterance_without_an_answer_is_a_row_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    class Choosy(FakeClassifier):
        def __init__(self) -> None:
            super().__init__(lambda heard: Unanswered("busy") if len(heard.samples) > 32_000 else {"sad": 1.0})

    monkeypatch.setattr(Workshop, "classifier", lambda _: Choosy())
    rows = Hearer(make_job(load(), segment=False, top=3)).rows([str(clip) for clip in CLIPS])
    assert len(rows) == len(CLIPS)
    told = {row["error"] is None for row in rows}
    assert told == {True, False}
    for row in rows:
        if row["error"] is not None:
            assert row["error"] == f"{row['file']}: an utterance was not classified: busy"
            assert row["emotion"] is None


def test_no_secret_travels_but_what_the_hearers_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER", "geheim")
    file = tmp_path / "agent.yaml"
    file.write_text(
        "sinks: [{type: mqtt, host: localhost, username: me, password: '${BROKER}'}]\n"
        "classifier: {min_confidence: 0.25, threads: 2}\nvad: {type: energy}\n"
    )
    loaded = load(file)
    job = make_job(loaded, segment=True, top=3)
    assert "geheim" not in repr(job)
    there = job.loaded.config
    assert (there.vad, there.segmenter, there.classifier) == (
        loaded.config.vad,
        loaded.config.segmenter,
        loaded.config.classifier,
    )
    assert (job.threads, job.base_dir) == (2, str(tmp_path))


def test_each_hearer_computes_in_one_thread_unless_told_otherwise() -> None:
    job = make_job(load(), segment=False, top=3)
    assert (job.threads, job.gpus) == (1, 0)
    assert '"threads": 1' in job.settings
    assert make_job(load(overrides=("classifier.device=cuda:1",)), segment=False, top=3).gpus == 1


def test_answers_depend_on_the_model_and_not_on_the_pace() -> None:
    def told(*overrides: str, segment: bool = False) -> object:
        loaded = load(overrides=overrides)
        return answers_depend_on(loaded, make_job(loaded, segment=segment, top=3))

    assert told() == told("classifier.threads=7", "classifier.time_limit_s=9")
    for other in (told("classifier.precision=float32"), told("vad.threshold=0.7"), told(segment=True)):
        assert other != told()


def test_a_node_with_another_version_is_refused() -> None:
    job = replace(make_job(load(), segment=False, top=3), version="0.0.1")
    with pytest.raises(UnavailableError, match=r"a node has ser_agent .*, and this one 0\.0\.1"):
        Hearer(job)


def test_a_model_that_a_node_does_not_have_is_told(tmp_path: Path) -> None:
    loaded = load(overrides=(f"classifier.model={tmp_path}/nowhere", "classifier.engine=onnx"))
    with pytest.raises(ModelError):
        Hearer(make_job(loaded, segment=False, top=3))
