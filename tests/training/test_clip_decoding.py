"""Decoding own clips: whatever phones record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
import soundfile

from ser_agent.audio import SAMPLE_RATE, float_from_pcm16
from ser_agent.errors import AudioFileError
from training.decoding import decode, speech_by_level

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [("x.wav", 44_100, 2), ("x.flac", 8_000, 1), ("x.mp3", 48_000, 1), ("x.ogg", 22_050, 2)],
)
def test_any_format_and_rate_becomes_16_khz_mono(tmp_path: Path, name: str, rate: int, channels: int) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(tmp_path / name, np.repeat(tone[:, None], channels, axis=1), rate)
    assert_is_tone(decode(tmp_path / name))


def assert_is_tone(samples: NDArray[np.int16]) -> None:
    assert len(samples) == pytest.approx(SAMPLE_RATE, rel=0.08)
    middle = float_from_pcm16(samples)[4_000:12_000]
    assert np.abs(np.fft.rfft(middle)).argmax() == 220
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def phone_recording(path: Path, seconds: float, rate: int = 44_100) -> Path:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_what_phones_record_is_read(tmp_path: Path) -> None:
    assert_is_tone(decode(phone_recording(tmp_path / "x.m4a", 1.0)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: phone_recording(path, 125.0, 8_000), "longer than 120 s: cut it into utterances"),
        (lambda path: phone_recording(path, 0.01), "shorter than 0.1 s"),
        (lambda path: path.write_bytes(b"no film"), "not an audio file that can be read"),
        (lambda _path: None, "not an audio file that can be read: No such file"),
    ],
)
def test_what_phones_record_badly_is_an_error(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "x.m4a"
    make(path)
    with pytest.raises(AudioFileError, match=rf"x\.m4a: {message}"):
        decode(path)


def test_speech_is_found_between_silences() -> None:
    silence = np.zeros(16_000, dtype=np.int16)
    speech = (8_000 * np.sin(2 * np.pi * 200 * np.arange(16_000) / 16_000)).astype(np.int16)
    start, end = speech_by_level(np.concatenate([silence, speech, silence]))
    assert start == pytest.approx(16_000, abs=512)
    assert end == pytest.approx(32_000, abs=512)
