from __future__ import annotations

import itertools
import json
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from ser_agent.audio import SAMPLE_RATE, AudioFrame, Samples
from ser_agent.errors import SourceError
from ser_agent.ports import PluginContext
from ser_agent.sources.files import FRAME_SAMPLES, FilesSource
from ser_agent.testing import check_source, tone

PATIENCE_S = 20.0
CLIP = Path(__file__).parents[1] / "data" / "1066_IOM_NEU_XX.opus"


def source(folder: Path, *paths: Path | str, **keys: Any) -> FilesSource:  # noqa: ANN401 - of many kinds
    text = json.dumps({"paths": [str(path) for path in paths], **keys})
    return FilesSource(FilesSource.Options.model_validate_json(text), PluginContext("test", folder))


def wav(folder: Path, name: str, sound: Samples) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, SAMPLE_RATE)
    return path


def heard(opened: FilesSource) -> list[AudioFrame]:
    opened.open()
    return list(opened.frames())


def sound_of(frames: list[AudioFrame]) -> Samples:
    return np.concatenate([frame.samples for frame in frames])


@pytest.mark.parametrize("realtime", [False, True])
def test_it_says_whether_it_plays_in_real_time(tmp_path: Path, realtime: bool) -> None:  # noqa: FBT001 - a case
    played = source(tmp_path, tmp_path / "a.wav", realtime=realtime)
    assert (played.live, played.in_real_time) == (False, realtime)


def test_a_file_is_played_whole_in_frames_that_follow_one_another(tmp_path: Path) -> None:
    sound = tone(2.5)
    frames = heard(source(tmp_path, wav(tmp_path, "a.wav", sound)))
    assert np.array_equal(sound_of(frames), sound)
    position = 0
    for frame in frames:
        assert frame.offset == position
        assert 0 < len(frame.samples) <= FRAME_SAMPLES
        position += len(frame.samples)


def test_each_file_starts_a_stream_and_the_offsets_go_on_over_all_of_them(tmp_path: Path) -> None:
    first, second = tone(0.3, 200), tone(0.5, 300)
    frames = heard(source(tmp_path, wav(tmp_path, "z.wav", first), wav(tmp_path, "a.wav", second)))
    assert [frame.offset for frame in frames if frame.starts_stream] == [0, len(first)]
    assert np.array_equal(sound_of(frames), np.concatenate((first, second)))


def test_sound_counts_as_heard_when_it_would_have_been_had_it_been_played(tmp_path: Path) -> None:
    frames = heard(source(tmp_path, wav(tmp_path, "a.wav", tone(2.0))))
    began = frames[0].captured_at
    for frame in frames:
        assert frame.captured_at == pytest.approx(began + frame.offset / SAMPLE_RATE)


def test_a_folder_is_played_in_the_order_of_names_and_relative_paths_count_from_the_configuration_s(
    tmp_path: Path,
) -> None:
    parts = {"b/2.wav": tone(0.2, 200), "b/10.wav": tone(0.2, 300), "a/x.WAV": tone(0.2, 400)}
    for name, part in parts.items():
        wav(tmp_path / "sounds", name, part)
    (tmp_path / "sounds" / "notes.txt").write_text("no sound", encoding="utf-8")
    frames = heard(source(tmp_path, "sounds"))
    expected = np.concatenate([parts["a/x.WAV"], parts["b/10.wav"], parts["b/2.wav"]])
    assert np.array_equal(sound_of(frames), expected)


def test_other_rates_and_channels_are_converted(tmp_path: Path) -> None:
    sound = (tone(1.0) / 32768).astype(np.float32)
    soundfile.write(tmp_path / "wide.flac", np.repeat(np.stack([sound, -sound, sound], axis=1), 3, axis=0), 48_000)
    frames = heard(source(tmp_path, "wide.flac", CLIP))
    starts = [frame.offset for frame in frames if frame.starts_stream]
    assert starts == [0, SAMPLE_RATE]


def test_a_loop_begins_anew_at_the_end_and_the_offsets_go_on(tmp_path: Path) -> None:
    sound = tone(0.2)
    looped = source(tmp_path, wav(tmp_path, "a.wav", sound), loop=True)
    looped.open()
    frames = list(itertools.islice(looped.frames(), 12))
    assert np.array_equal(sound_of(frames), np.tile(sound, 3))
    assert [frame.offset for frame in frames if frame.starts_stream] == [0, len(sound), 2 * len(sound)]


def test_opened_again_it_begins_anew(tmp_path: Path) -> None:
    again = source(tmp_path, wav(tmp_path, "a.wav", tone(0.5)))
    assert np.array_equal(sound_of(heard(again)), sound_of(heard(again)))
    assert next(again.frames()).offset == 0


@pytest.mark.parametrize("loop", [False, True])
def test_closed_it_gives_no_more_frames(tmp_path: Path, *, loop: bool) -> None:
    closed = source(tmp_path, wav(tmp_path, "a.wav", tone(1.0)), loop=loop)
    closed.open()
    frames = closed.frames()
    next(frames)
    closed.close()
    assert list(frames) == []


class FakeTime:
    """A clock that only waiting moves; also the event that is waited for, which never happens."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, timeout_s: float) -> bool:
        self.now += timeout_s
        return False

    def clear(self) -> None:
        """It never happens."""

    def is_set(self) -> bool:
        return False


def test_in_real_time_no_frame_comes_before_its_last_sample_would_have_been_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeTime()
    monkeypatch.setattr("ser_agent.sources.files.time", SimpleNamespace(monotonic=clock.monotonic))
    played = source(tmp_path, wav(tmp_path, "a.wav", tone(0.4)), wav(tmp_path, "b.wav", tone(0.3)), realtime=True)
    monkeypatch.setattr(played, "_closed", clock)
    played.open()
    for frame in played.frames():
        assert clock.now == pytest.approx(1000.0 + (frame.offset + len(frame.samples)) / SAMPLE_RATE)
    assert clock.now == pytest.approx(1000.7)


def test_in_real_time_a_listener_that_was_late_catches_up_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeTime()
    monkeypatch.setattr("ser_agent.sources.files.time", SimpleNamespace(monotonic=clock.monotonic))
    played = source(tmp_path, wav(tmp_path, "a.wav", tone(1.0)), realtime=True)
    monkeypatch.setattr(played, "_closed", clock)
    played.open()
    frames = played.frames()
    next(frames)
    late = clock.now = clock.now + 0.5
    for frame in frames:
        assert clock.now == pytest.approx(max(late, frame.captured_at + frame.duration_s))


def test_in_real_time_close_from_another_thread_ends_the_waiting_at_once(tmp_path: Path) -> None:
    hour = source(tmp_path, wav(tmp_path, "a.wav", tone(1.0)), realtime=True, loop=True)
    hour.open()
    began = threading.Event()

    def listen() -> None:
        for _ in hour.frames():
            began.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert began.wait(PATIENCE_S)
    hour.close()
    listener.join(PATIENCE_S)
    assert not listener.is_alive()


def test_what_is_not_there_is_named_with_the_reason(tmp_path: Path) -> None:
    missing = source(
        tmp_path, wav(tmp_path, "a.wav", tone(0.1)), "gone.wav", "a.wav/b.wav", "x" * 300, "nul\0.wav"
    )
    with pytest.raises(SourceError) as told:
        missing.open()
    first, second, third, fourth = str(told.value).split("; ")
    assert first == f"{tmp_path}/gone.wav: no such file or directory"
    assert second == f"{tmp_path}/a.wav/b.wav: not a directory"
    assert third.endswith(": file name too long")
    assert fourth.endswith("nul\\x00.wav': embedded null byte")
    assert told.value.exit_code == 69


def test_a_folder_without_sound_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=f"{tmp_path}/empty: a folder without audio files"):
        source(tmp_path, "empty").open()


def test_a_file_that_cannot_be_read_is_told_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "b.wav").write_bytes(b"RIFF, but not really")
    sound = tone(0.3)
    mixed = source(tmp_path, wav(tmp_path, "a.wav", sound), "b.wav", wav(tmp_path, "c.wav", sound))
    with caplog.at_level(logging.WARNING):
        frames = heard(mixed)
    assert np.array_equal(sound_of(frames), np.concatenate((sound, sound)))
    assert [frame.offset for frame in frames if frame.starts_stream] == [0, len(sound)]
    assert f"passed over: {tmp_path}/b.wav: " in caplog.text


@pytest.mark.parametrize("loop", [False, True])
def test_where_none_can_be_read_it_says_so_rather_than_to_end_or_to_loop_in_silence(
    tmp_path: Path, *, loop: bool
) -> None:
    for name in ("a.wav", "b.ogg"):
        (tmp_path / name).write_bytes(b"no sound at all")
    silent = source(tmp_path, "a.wav", "b.ogg", loop=loop)
    silent.open()
    with pytest.raises(SourceError, match="none of the files holds sound that can be read"):
        list(silent.frames())


def test_a_loop_whose_files_are_taken_away_ends_with_the_reason(tmp_path: Path) -> None:
    path = wav(tmp_path, "a.wav", tone(0.1))
    looped = source(tmp_path, path, loop=True)
    looped.open()
    frames = looped.frames()
    next(frames)
    path.unlink()
    with pytest.raises(SourceError, match="none of the files"):
        list(frames)


@pytest.mark.parametrize("keys", [{"realtime": False}, {"realtime": True}], ids=["at full speed", "in real time"])
def test_it_keeps_the_promises_of_a_source(tmp_path: Path, keys: dict[str, bool]) -> None:
    check_source(source(tmp_path, wav(tmp_path, "a.wav", tone(0.5)), loop=True, **keys))


def test_it_waits_for_its_listener_so_nothing_is_lost(tmp_path: Path) -> None:
    assert not source(tmp_path, "a.wav").live
