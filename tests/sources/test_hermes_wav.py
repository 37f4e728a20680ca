"""Sound out of messages that anybody may have sent."""

from __future__ import annotations

import contextlib
import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hermes import wav

from ser_agent.sources.hermes_wav import BadWav, read_wav
from ser_agent.testing import tone

SOUND = tone(0.1)
GOOD = wav(SOUND)


def chunk(name: bytes, body: bytes, length: int | None = None) -> bytes:
    return struct.pack("<4sI", name, len(body) if length is None else length) + body


def riff(*chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 0) + b"WAVE" + b"".join(chunks)


def form(kind: int = 1, channels: int = 1, rate: int = 16_000, bits: int = 16, frame: int | None = None) -> bytes:
    frame = channels * bits // 8 if frame is None else frame
    return chunk(b"fmt ", struct.pack("<HHIIHH", kind, channels, rate, rate * frame, frame, bits))


def test_the_usual_kind_is_taken_as_it_is() -> None:
    rate, sound = read_wav(GOOD)
    assert rate == 16_000
    assert sound.dtype == np.int16
    assert np.array_equal(sound, SOUND)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
def test_any_width_and_any_channels_give_the_sound(subtype: str, channels: int, container: str) -> None:
    sound = SOUND[:500].astype(np.float64) / 32_768
    file = io.BytesIO()
    soundfile.write(file, np.repeat(sound[:, None], channels, axis=1), 48_000, subtype, format=container)
    rate, heard = read_wav(file.getvalue())
    assert rate == 48_000
    assert heard.dtype == (np.int16 if (subtype, channels) == ("PCM_16", 1) else np.float32)
    floats = heard / (32_768 if heard.dtype == np.int16 else 1)
    wanted = sound if heard.ndim == 1 else np.repeat(sound[:, None], channels, axis=1)
    assert np.abs(floats - wanted).max() < (0.01 if subtype == "PCM_U8" else 1e-4)


def test_chunks_that_are_not_known_are_passed_over() -> None:
    payload = riff(chunk(b"LIST", b"abc") + b"\0", form(), chunk(b"time", bytes(8)), chunk(b"data", b"\1\0\2\0"))
    assert read_wav(payload)[1].tolist() == [1, 2]


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 100])
def test_a_length_beyond_the_end_means_all_there_is(length: int) -> None:
    assert read_wav(riff(form(), chunk(b"data", b"\1\0\2\0\3", length)))[1].tolist() == [1, 2]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"RIFF",
        b"OggS" + GOOD[4:],
        GOOD[:8] + b"AVI " + GOOD[12:],
        riff(form()),
        riff(form(), chunk(b"data", b"")),
        riff(form(), chunk(b"data", b"\1")),
        riff(chunk(b"data", b"\1\0"), form()),
        riff(chunk(b"fmt ", b"\1\0\1\0"), chunk(b"data", b"\1\0")),
        riff(form(kind=6, bits=8), chunk(b"data", b"\1\0")),
        riff(form(bits=12), chunk(b"data", b"\1\0")),
        riff(form(rate=0), chunk(b"data", b"\1\0")),
        riff(form(rate=4_000_000_000 // 4), chunk(b"data", b"\1\0")),
        riff(form(channels=0), chunk(b"data", b"\1\0")),
        riff(form(channels=65), chunk(b"data", bytes(130))),
        riff(form(frame=4), chunk(b"data", bytes(8))),
        riff(form(kind=3, bits=32), chunk(b"data", struct.pack("<f", float("nan")))),
    ],
)
def test_what_is_no_sound_is_refused(payload: bytes) -> None:
    with pytest.raises(BadWav):
        read_wav(payload)


@given(st.binary(max_size=200), st.integers(0, len(GOOD)), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_whatever_comes_is_sound_or_refused(junk: bytes, cut: int, at: int) -> None:
    for payload in (junk, GOOD[:cut], GOOD[:at] + junk + GOOD[at + len(junk) :], GOOD[:44] + junk):
        with contextlib.suppress(BadWav):
            rate, sound = read_wav(payload)
            assert 4_000 <= rate <= 384_000
            assert 0 < len(sound) <= len(payload)
            assert np.isfinite(sound).all()
