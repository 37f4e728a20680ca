"""``ser-agent classify``: the emotion of audio files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from support.command_line import growth_mb, python

from ser_agent.labels import UNCERTAIN

if TYPE_CHECKING:
    from support.checkpoints import CheckpointBuilder
    from support.command_line import Command

pytestmark = pytest.mark.model

DATA = Path(__file__).resolve().parents[1] / "data"
CLIPS = sorted(DATA.glob("*.opus"))
CLIP = DATA / "1076_ITH_DIS_XX.opus"
MODEL = DATA.parents[1] / "ser_agent" / "model"
LABELS = {"angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"}


@pytest.fixture(autouse=True)
def _needs_torch() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")


def test_a_folder_gives_a_record_for_each_file(ser_agent: Command) -> None:
    outcome = ser_agent("classify", DATA, "--jsonl")
    assert (outcome.code, outcome.err) == (0, "")
    assert [record["file"] for record in outcome.records] == [str(clip) for clip in CLIPS]
    for record in outcome.records:
        assert list(record) == ["file", "start_s", "end_s", "emotion", "confidence", "emotions"]
        assert (record["start_s"], record["end_s"]) == (0.0, pytest.approx(2.2, abs=0.7))
        scores = [emotion["score"] for emotion in record["emotions"]]
        assert [list(emotion) for emotion in record["emotions"]] == 3 * [["label", "score"]]
        assert scores == sorted(scores, reverse=True)
        assert record["confidence"] == scores[0]
        assert record["emotion"] in {record["emotions"][0]["label"], UNCERTAIN}


def test_for_people_each_file_is_a_line_with_its_best_three(ser_agent: Command) -> None:
    outcome = ser_agent("classify", CLIP, *CLIPS[:2])
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert [line.split()[0] for line in lines] == [str(clip) for clip in (CLIP, *CLIPS[:2])]
    for line in lines:
        assert re.search(r"  \S+ [a-z]+  \((?:[a-z]+ \d+%(?:, |\))){3}$", line)


@pytest.mark.parametrize(("top", "count"), [("1", 1), ("2", 2), ("all", len(LABELS))])
def test_as_many_emotions_are_told_as_asked_for(ser_agent: Command, top: str, count: int) -> None:
    (record,) = ser_agent("classify", CLIP, "--jsonl", "--top", top).records
    assert len(record["emotions"]) == count
    if top == "all":
        assert {emotion["label"] for emotion in record["emotions"]} == LABELS
        assert sum(emotion["score"] for emotion in record["emotions"]) == pytest.approx(1.0, abs=1e-3)


def test_under_the_threshold_the_emotion_is_uncertain_and_the_scores_still_told(ser_agent: Command) -> None:
    sure, unsure = (
        ser_agent("classify", CLIP, "--jsonl", "--set", f"classifier.min_confidence={least}").records[0]
        for least in (0, 1)
    )
    assert sure["emotion"] == sure["emotions"][0]["label"]
    assert unsure["emotion"] == UNCERTAIN
    assert unsure["emotions"] == sure["emotions"]


def test_without_a_configured_threshold_it_is_the_models_own(build: CheckpointBuilder, ser_agent: Command) -> None:
    emotions = [
        ser_agent("classify", CLIP, "--jsonl", "--set", f"classifier.model={model}").records[0]["emotion"]
        for model in (build.raw(ser_agent={"uncertain_below": least}) for least in (0.0, 1.0))
    ]
    assert emotions[0] != UNCERTAIN
    assert emotions[1] == UNCERTAIN


def test_a_file_in_which_nobody_speaks_is_told_without_an_emotion(
    build: CheckpointBuilder, ser_agent: Command
) -> None:
    told = {"non_speech": ["noise"], "calibration": {"bias": {"noise": 1000.0}}}
    model = ("--set", f"classifier.model={build.raw(labels=('ang', 'noise', 'sad'), ser_agent=told)}")
    outcome = ser_agent("classify", DATA, "--jsonl", *model)
    assert (outcome.code, outcome.err) == (0, "")
    assert [record["file"] for record in outcome.records] == [str(clip) for clip in CLIPS]
    for record in outcome.records:
        assert list(record) == ["file", "start_s", "end_s", "emotion", "confidence", "emotions"]
        assert (record["emotion"], record["confidence"], record["emotions"]) == (None, None, [])
    lines = ser_agent("classify", DATA, *model).out.splitlines()
    assert lines == [f"{clip}  🔇 no speech" for clip in CLIPS]


def test_a_model_whose_author_made_a_mistake_is_refused_with_file_and_key(
    build: CheckpointBuilder, ser_agent: Command
) -> None:
    folder = build.raw(ser_agent={"calibration": {"temperature": -1}})
    outcome = ser_agent("classify", CLIP, "--set", f"classifier.model={folder}")
    assert (outcome.code, outcome.out) == (69, "")
    assert f"{folder}/config.json: ser_agent.calibration.temperature: " in outcome.err


def test_a_long_file_is_cut_first(ser_agent: Command, tmp_path: Path) -> None:
    speech, rate = soundfile.read(CLIP, dtype="int16")
    path = tmp_path / "evening.flac"
    pause = np.zeros(35 * rate, np.int16)
    soundfile.write(path, np.concatenate([speech, pause, speech, pause]), rate)
    outcome = ser_agent("classify", path, "--segment", "--jsonl")
    assert (outcome.code, outcome.err) == (0, "")
    first, second = outcome.records
    assert 0 <= first["start_s"] < first["end_s"] < len(speech) / rate + 1 < 36 < second["start_s"]
    told = ser_agent("classify", path, "--segment").out.splitlines()
    assert f"{path}  {first['start_s']:.2f} … {first['end_s']:.2f} s  " in told[0]


def test_a_bad_file_is_told_and_the_good_ones_are_still_heard(ser_agent: Command, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder").mkdir()
    bad = [tmp_path / "empty.wav", tmp_path / "folder", tmp_path / "nowhere.wav"]
    outcome = ser_agent("classify", bad[0], CLIPS[0], bad[1], CLIPS[1], bad[2], "--jsonl")
    assert outcome.code == 69
    assert [record["file"] for record in outcome.records] == [str(clip) for clip in CLIPS[:2]]
    told = outcome.err.splitlines()
    assert len(told) == len(bad)
    for path in bad:
        assert [line for line in told if line.startswith(f"ser-agent: {path}: ")]


def test_where_no_file_is_good_the_model_is_not_waited_for() -> None:
    program = "import sys; from ser_agent.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    assert python(program, "classify", "nowhere.wav").out == "False\n"


@pytest.mark.timeout(300)
def test_thousands_of_files_take_no_more_memory_than_a_hundred(build: CheckpointBuilder, tmp_path: Path) -> None:
    model = build.raw(labels=("angry", "happy", "neutral", "sad"))
    sound = tmp_path / "sound.wav"
    soundfile.write(sound, np.random.default_rng(0).normal(0, 3000, 4_000).astype(np.int16), 16_000)
    for name, count in (("few", 100), ("many", 2_100)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number:04}.wav").hardlink_to(sound)
    options = ("--set", f"classifier.model={model}", "--set", "classifier.threads=1")
    few, many = (["classify", "--jsonl", tmp_path / name, *options] for name in ("few", "many"))
    outcome, growth = growth_mb(few, many)
    assert (outcome.code, len(outcome.records)) == (0, 2_100)
    decoded_mb = 2_100 * 8_000 / 2**20
    assert growth < decoded_mb / 2
