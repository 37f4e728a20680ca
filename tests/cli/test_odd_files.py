"""Files that are odd and yet good: whatever the format, the same speech gives the same utterance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from support.sound_files import RATE, write_cut_off, write_good_ones

from ser_agent.audio_files import read_utterance, stream_file

if TYPE_CHECKING:
    from support.command_line import Command

CLIP = Path(__file__).resolve().parents[1] / "data" / "1076_ITH_DIS_XX.opus"


def test_whatever_the_format_the_same_utterance_is_found(ser_agent: Command, tmp_path: Path) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    names = write_good_ones(folder, read_utterance(CLIP))
    outcome = ser_agent("segment", "--jsonl", folder)
    assert (outcome.code, outcome.err) == (0, "")
    assert {Path(record["file"]).name for record in outcome.records} == set(names)
    assert len(outcome.records) == len(names)
    (expected,) = ser_agent("segment", "--jsonl", CLIP).records
    for found in outcome.records:
        assert found["start_s"] == pytest.approx(expected["start_s"], abs=0.2), found
        assert found["end_s"] == pytest.approx(expected["end_s"], abs=0.2), found


def test_a_file_that_was_cut_off_is_used_as_far_as_it_goes_and_said_to_be(
    ser_agent: Command, tmp_path: Path
) -> None:
    wav, mp3 = tmp_path / "cut.wav", tmp_path / "cut.mp3"
    write_cut_off(wav, read_utterance(CLIP))
    soundfile.write(mp3, np.tile(read_utterance(CLIP), 2), RATE)
    mp3.write_bytes(mp3.read_bytes()[: mp3.stat().st_size // 2])
    for cut in (wav, mp3):
        outcome = ser_agent("segment", "--jsonl", cut)
        assert (outcome.code, len(outcome.records)) == (0, 1)
        assert f"{cut}: shorter than its header says (cut off?): used what there is" in outcome.err


def test_what_was_found_before_the_damage_is_told(ser_agent: Command, tmp_path: Path) -> None:
    speech = read_utterance(CLIP)
    path = tmp_path / "damaged.flac"
    soundfile.write(path, np.tile(np.concatenate([speech, np.zeros(2 * RATE, np.int16)]), 4), RATE)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    outcome = ser_agent("segment", "--jsonl", path)
    assert outcome.code == 69
    assert len(outcome.records) in {1, 2}
    assert f"{path}: damaged after " in outcome.err


@pytest.mark.parametrize(("channels", "rate"), [(1, 16_000), (64, 384_000)])
def test_blocks_are_bounded_whatever_the_header_claims(tmp_path: Path, channels: int, rate: int) -> None:
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.ones((rate, channels), np.int16), rate)
    blocks = [len(block) for block in stream_file(path, block_s=60.0)]
    assert sum(blocks) == pytest.approx(RATE, abs=1)
    assert (len(blocks) > 1) == (channels == 64)
