from __future__ import annotations

import contextlib
import json
import os
import pty
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ser_agent.audio import SAMPLE_RATE, AudioFrame, Samples
from ser_agent.errors import SourceError
from ser_agent.sources.stdin import StdinSource
from ser_agent.testing import check_source, context, tone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 20.0


class Pipe:
    """A pipe whose reading end is standard input."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        reading, self._writing = os.pipe()
        self._file = os.fdopen(reading, encoding="latin-1")
        self._writer: threading.Thread | None = None
        monkeypatch.setattr("sys.stdin", self._file)

    def write(self, data: bytes) -> None:
        os.write(self._writing, data)

    def end(self) -> None:
        """Close the writing end."""
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1

    def hang_up(self) -> None:
        """Close both ends; who writes in the background learns of it."""
        self._file.close()
        if self._writer is not None:
            self._writer.join(PATIENCE_S)
        self.end()

    def feed(self, data: bytes) -> None:
        """Write in the background, then end."""

        def work() -> None:
            with contextlib.suppress(BrokenPipeError):
                for start in range(0, len(data), 4096):
                    self.write(data[start : start + 4096])
            self.end()

        self._writer = threading.Thread(target=work, daemon=True)
        self._writer.start()


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    made = Pipe(monkeypatch)
    yield made
    made.hang_up()


def source(**keys: Any) -> StdinSource:  # noqa: ANN401 - of many kinds
    return StdinSource(StdinSource.Options.model_validate_json(json.dumps(keys)), context())


def opened(**keys: Any) -> StdinSource:  # noqa: ANN401 - of many kinds
    made = source(**keys)
    made.open()
    return made


def sound_of(frames: list[AudioFrame]) -> Samples:
    return np.concatenate([frame.samples for frame in frames])


def test_what_is_written_is_heard_until_the_writer_ends(pipe: Pipe) -> None:
    sound = tone(3.0)
    pipe.feed(sound.tobytes())
    frames = list(opened().frames())
    assert np.array_equal(sound_of(frames), sound)
    position = 0
    for frame in frames:
        assert frame.offset == position
        assert frame.captured_at <= time.monotonic() - frame.duration_s
        position += len(frame.samples)


def test_sound_comes_as_it_is_written_also_where_a_write_ends_within_a_sample(pipe: Pipe) -> None:
    data = np.arange(1, 10, dtype="<i2").tobytes()
    frames = opened().frames()
    heard = []
    for start, end in [(0, 3), (3, 8), (8, 18)]:
        pipe.write(data[start:end])
        heard.append(next(frames).samples.tolist())
    assert heard == [[1], [2, 3, 4], [5, 6, 7, 8, 9]]
    pipe.write(b"\x01")
    pipe.end()
    assert list(frames) == []


def test_half_a_sample_alone_gives_no_frame(pipe: Pipe) -> None:
    frames = opened().frames()
    pipe.write(b"\x07")
    pipe.end()
    assert list(frames) == []


def test_a_writer_that_writes_nothing_gives_no_frames(pipe: Pipe) -> None:
    pipe.end()
    assert list(opened().frames()) == []


def test_channels_are_averaged_also_where_a_write_ends_within_a_channel(pipe: Pipe) -> None:
    interleaved = np.array([[300, 0, 600], [-30, -60, -90], [9, 0, 0]], dtype="<i2").tobytes()
    frames = opened(channels=3).frames()
    pipe.write(interleaved[:9])
    assert next(frames).samples.tolist() == [300]
    pipe.write(interleaved[9:])
    assert next(frames).samples.tolist() == [-60, 3]


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2), (48_000, 6)])
def test_other_rates_are_resampled_and_nothing_is_held_back_at_the_end(
    pipe: Pipe, rate: int, channels: int
) -> None:
    time_s = np.arange(rate) / rate
    sine = (9000 * np.sin(2 * np.pi * 500 * time_s)).astype("<i2")
    pipe.feed(np.repeat(sine[:, None], channels, axis=1).tobytes())
    sound = sound_of(list(opened(rate=rate, channels=channels).frames()))
    assert len(sound) == SAMPLE_RATE
    expected = 9000 * np.sin(2 * np.pi * 500 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    assert np.abs(sound - expected)[500:-500].max() < 60


def test_raw_sound_may_also_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = tone(1.0)
    (tmp_path / "sound.raw").write_bytes(sound.tobytes())
    with (tmp_path / "sound.raw").open(encoding="latin-1") as file:
        monkeypatch.setattr("sys.stdin", file)
        assert np.array_equal(sound_of(list(opened().frames())), sound)


def test_opened_again_it_goes_on_where_it_stopped_within_a_sample_if_need_be(pipe: Pipe) -> None:
    again = opened()
    pipe.write(np.arange(1, 4, dtype="<i2").tobytes()[:5])
    assert next(again.frames()).samples.tolist() == [1, 2]
    again.close()
    again.open()
    pipe.write(np.arange(3, 6, dtype="<i2").tobytes()[1:])
    frame = next(again.frames())
    assert frame.samples.tolist() == [3, 4, 5]
    assert frame.offset == 0


@pytest.mark.parametrize("written", [b"", b"\x01\x00\x02"])
def test_close_from_another_thread_ends_the_waiting(pipe: Pipe, written: bytes) -> None:
    waiting = opened()
    pipe.write(written)
    heard: list[AudioFrame] = []
    listener = threading.Thread(target=lambda: heard.extend(waiting.frames()), daemon=True)
    listener.start()
    waiting.close()
    listener.join(PATIENCE_S)
    assert not listener.is_alive()


def test_what_was_written_while_it_was_closed_is_not_heard(pipe: Pipe) -> None:
    again = opened()
    pipe.write(np.arange(1, 3, dtype="<i2").tobytes())
    assert next(again.frames()).samples.tolist() == [1, 2]
    again.close()
    pipe.write(np.arange(3, 20_000, dtype="<i2").tobytes() + b"\x07")
    again.open()
    pipe.write(b"\x00" + np.arange(8, 10, dtype="<i2").tobytes())
    assert next(again.frames()).samples.tolist() == [7, 8, 9]


def test_it_keeps_the_promises_of_a_source(pipe: Pipe) -> None:
    pipe.feed(bytes(8_000_000))
    check_source(source())


def test_a_closed_standard_input_is_told(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe.hang_up()
    with pytest.raises(SourceError, match="standard input is closed"):
        opened()
    monkeypatch.setattr("sys.stdin", None)  # what Python makes of `<&-`
    with pytest.raises(SourceError, match="standard input is closed"):
        opened()


def test_a_terminal_is_refused_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    leading, following = pty.openpty()
    with os.fdopen(leading, "rb"), os.fdopen(following, encoding="latin-1") as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        with pytest.raises(SourceError, match="standard input is a terminal: pipe raw audio into it"):
            opened()


def test_it_waits_for_its_listener_so_nothing_is_lost() -> None:
    assert not source().live
