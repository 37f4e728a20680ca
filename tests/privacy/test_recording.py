"""Recording: off by default; where it is on, everybody is told, and nothing is kept longer than allowed."""

from __future__ import annotations

import logging
import os
import stat
import wave
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.rig import Rig
from ulid import ULID

from ser_agent.agent import Outcome
from ser_agent.config import load
from ser_agent.errors import SerAgentError
from ser_agent.messages import AgentInfo, EmotionEvent
from ser_agent.recording import DAY_S, MEGABYTE, Recorder, RecordingOptions
from ser_agent.testing import FakeClassifier

if TYPE_CHECKING:
    from pathlib import Path

    from ser_agent.audio import Utterance
    from ser_agent.ports import Answer

HALF_A_MEGABYTE = MEGABYTE // 2


def recorder(folder: Path, days: float = 7.0, megabytes: float = 500.0, now: float = 1e9) -> Recorder:
    options = RecordingOptions(folder="kept", max_age_days=days, max_megabytes=megabytes)
    return Recorder(options, folder, clock=lambda: now)


def kept(folder: Path, *ages_s: float, now: float = 1e9, size: int = HALF_A_MEGABYTE) -> list[Path]:
    """Recordings of these ages."""
    (folder / "kept").mkdir()
    paths = []
    for age_s in ages_s:
        path = folder / "kept" / f"{ULID()}.wav"
        path.write_bytes(bytes(size))
        os.utime(path, (now - age_s, now - age_s))
        paths.append(path)
    return paths


@pytest.mark.parametrize("override", [(), ("recording=off",), ("recording=null",)])
def test_it_is_off_unless_a_folder_is_named(override: tuple[str, ...]) -> None:
    assert load(overrides=override).config.recording is None


def test_the_agent_keeps_what_was_said_tells_so_and_hears_zeros_afterwards(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    heard: list[Utterance] = []
    said: list[bytes] = []

    def answer(utterance: Utterance) -> Answer:
        heard.append(utterance)
        said.append(utterance.samples.tobytes())
        return {"happy": 1.0}

    rig = Rig(classifier=FakeClassifier(answer), recorder=recorder(tmp_path))
    assert rig.agent().run() is Outcome.ENDED
    (event,) = (message for message in rig.record.messages if isinstance(message, EmotionEvent))
    (info,) = (message for message in rig.record.messages if isinstance(message, AgentInfo))
    assert info.recording
    assert "RECORDING IS ON" in caplog.text
    path = tmp_path / "kept" / f"{event.id}.wav"
    with wave.open(str(path)) as file:
        assert file.readframes(file.getnframes()) == said[0]
        assert file.getframerate() == 16_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not heard[0].samples.any()


def test_without_it_nothing_is_kept_or_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.agent().run()
    (info,) = (message for message in rig.record.messages if isinstance(message, AgentInfo))
    assert not info.recording
    assert "RECORDING" not in caplog.text


def test_what_is_too_old_goes_and_nothing_else(tmp_path: Path) -> None:
    young, old = kept(tmp_path, 6.9 * DAY_S, 7.1 * DAY_S)
    foreign = tmp_path / "kept" / "holidays.wav"
    foreign.write_bytes(b"")
    os.utime(foreign, (0, 0))
    recorder(tmp_path).sweep()
    assert (young.exists(), old.exists(), foreign.exists()) == (True, False, True)


def test_the_oldest_go_where_there_is_too_much(tmp_path: Path) -> None:
    paths = kept(tmp_path, 50, 40, 30, 20, 10)
    recorder(tmp_path, megabytes=1.6).sweep()
    assert [path.exists() for path in paths] == [False, False, True, True, True]


def test_a_link_is_left_alone_and_never_written_through(tmp_path: Path) -> None:
    kept(tmp_path)
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    event_id = str(ULID())
    (tmp_path / "kept" / f"{event_id}.wav").symlink_to(target)
    writer = recorder(tmp_path)
    writer.open()
    writer.keep(event_id, np.ones(100, np.int16))
    writer.close()
    writer.sweep()
    assert target.read_bytes() == b"precious"


def test_a_disk_that_fails_is_told_of_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = recorder(tmp_path)
    writer.open()
    monkeypatch.setattr(os, "open", _full)
    for _ in range(3):
        writer.keep(str(ULID()), np.ones(100, np.int16))
    writer.close()
    assert caplog.text.count("No space left on device") == 1
    assert not list((tmp_path / "kept").iterdir())


def _full(*_: object) -> int:
    raise OSError(28, "No space left on device")


def test_a_folder_that_cannot_be_had_ends_the_agent_with_69(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")
    with pytest.raises(SerAgentError, match=r"recording: .*kept: file exists") as caught:
        Rig(recorder=recorder(tmp_path)).agent().run()
    assert caught.value.exit_code == 69


def test_the_oldest_waiting_is_dropped_where_the_disk_does_not_keep_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = recorder(tmp_path)  # not opened: nobody writes
    for number in range(6):
        writer.keep(f"utterance {number}", np.ones(100, np.int16))
    assert "utterance 0 is not recorded" in caplog.text
    assert "utterance 1 is not recorded" in caplog.text
    assert "utterance 2" not in caplog.text
