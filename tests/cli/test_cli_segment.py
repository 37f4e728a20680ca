"""``ser-agent segment``: where the utterances are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from support.command_line import growth_mb

from ser_agent.audio_files import read_utterance
from ser_agent.cli.listening import AHEAD, FileReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.command_line import Command

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
SAMPLES = ROOT / "ser_agent" / "samples"
CLIP = DATA / "1076_ITH_DIS_XX.opus"
MOST_GROWTH_MB = 20
"""Three hours decoded are 330, the thousands of files 150."""


def overlaps(one: dict[str, float], other: dict[str, float]) -> bool:
    return one["start_s"] < other["end_s"] and other["start_s"] < one["end_s"]


def test_every_utterance_of_the_conversation_is_found_and_nothing_else(ser_agent: Command) -> None:
    outcome = ser_agent("segment", SAMPLES / "conversation.ogg", "--jsonl")
    assert (outcome.code, outcome.err) == (0, "")
    truth = json.loads((SAMPLES / "conversation.json").read_text(encoding="utf-8"))["utterances"]
    assert len(outcome.records) == len(truth) == 12
    for found, spoken in zip(outcome.records, truth, strict=True):
        assert list(found) == ["file", "start_s", "end_s", "end_reason"]
        assert (found["file"], found["end_reason"]) == (str(SAMPLES / "conversation.ogg"), "silence")
        assert [other for other in truth if overlaps(found, other)] == [spoken]


def test_for_people_each_utterance_is_a_line(ser_agent: Command) -> None:
    outcome = ser_agent("segment", SAMPLES / "conversation.ogg")
    lines = outcome.out.splitlines()
    assert len(lines) == 12
    for line in lines:
        assert re.fullmatch(r"\S+conversation\.ogg +\d+\.\d\d … +\d+\.\d\d s  silence", line)


def test_times_count_from_each_files_beginning_and_no_utterance_spans_two(ser_agent: Command) -> None:
    alone, twice = (ser_agent("segment", "--jsonl", *files).records for files in ([CLIP], [CLIP, CLIP]))
    assert len(alone) == 1
    assert twice == 2 * alone


def test_a_file_without_speech_is_no_fault_and_named(ser_agent: Command, tmp_path: Path) -> None:
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(16_000, np.int16), 16_000)
    outcome = ser_agent("segment", silent, CLIP, "--jsonl")
    assert outcome.code == 0
    assert [record["file"] for record in outcome.records] == [str(CLIP)]
    assert f"{silent}: no speech in it" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_folder_is_heard_in_the_order_of_its_names_and_below(ser_agent: Command, tmp_path: Path) -> None:
    (tmp_path / "f" / "deeper").mkdir(parents=True)
    for name in ("b.opus", "a.OPUS", "deeper/c.opus"):
        (tmp_path / "f" / name).symlink_to(CLIP)
    (tmp_path / "f" / "notes.txt").write_text("no sound")
    outcome = ser_agent("segment", tmp_path / "f", "--jsonl", "--set", "vad.type=webrtc")
    assert [Path(record["file"]).name for record in outcome.records] == ["a.OPUS", "b.opus", "c.opus"]


def test_the_configuration_decides_how_it_is_cut(ser_agent: Command) -> None:
    whole, cut = (
        ser_agent("segment", CLIP, "--jsonl", "--set", f"segmenter.max_utterance_s={longest_s}").records
        for longest_s in (15, 1)
    )
    assert [record["end_reason"] for record in whole] == ["end_of_stream"]
    assert "max_duration" in {record["end_reason"] for record in cut}
    assert max(record["end_s"] - record["start_s"] for record in cut) <= 1.0


def test_only_a_few_files_are_opened_before_the_first_is_through(tmp_path: Path) -> None:
    later = tmp_path / "later.opus"
    files = [*[str(CLIP)] * (AHEAD + 1), str(later)]
    utterances: Iterator[tuple[Path, object]] = FileReader(files).whole()
    assert next(utterances)[0] == CLIP
    later.symlink_to(CLIP)
    assert [path for path, _ in utterances][-1] == later


def three_hours(path: Path, end: bytes) -> None:
    """Silence, 8 kHz, and some sound at its end; takes no room on the disk."""
    soundfile.write(path, np.zeros(0, np.int16), 8_000)
    size = 3 * 3600 * 8_000 * 2
    with path.open("r+b") as file:
        header = bytearray(file.read(44))
        header[4:8] = (36 + size).to_bytes(4, "little")
        header[40:44] = size.to_bytes(4, "little")
        file.seek(0)
        file.write(header)
        file.seek(44 + size - len(end))
        file.write(end)


@pytest.mark.timeout(300)
def test_three_hours_are_heard_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "night.wav"
    three_hours(path, read_utterance(CLIP)[::2].tobytes())
    outcome, growth = growth_mb(["segment", CLIP], ["segment", "--jsonl", path])
    assert (outcome.code, outcome.err) == (0, "")
    (found,) = outcome.records
    assert 3 * 3600 - 4 < found["start_s"] < found["end_s"] <= 3 * 3600
    assert growth < MOST_GROWTH_MB


@pytest.mark.timeout(300)
def test_thousands_of_files_are_heard_in_bounded_memory(ser_agent: Command, tmp_path: Path) -> None:
    original = tmp_path / "original.wav"
    soundfile.write(original, read_utterance(CLIP), 16_000)
    (tmp_path / "many").mkdir()
    for number in range(2_000):
        (tmp_path / "many" / f"{number:04}.wav").hardlink_to(original)
    outcome, growth = growth_mb(["segment", CLIP], ["segment", tmp_path / "many", "--set", "vad.type=energy"])
    names = [line.split()[0] for line in outcome.out.splitlines()]
    assert names == [str(tmp_path / "many" / f"{number:04}.wav") for number in range(2_000)]
    assert growth < MOST_GROWTH_MB


@pytest.mark.parametrize("name", ["", "no-such-file.wav"])
def test_what_is_no_file_is_told_and_the_others_are_heard(ser_agent: Command, name: str) -> None:
    outcome = ser_agent("segment", name, CLIP, "--jsonl")
    assert outcome.code == 69
    assert len(outcome.records) == 1
    assert outcome.err.startswith(f"ser-agent: {name or 'the name of a file is empty'}")
