"""Sound files that are odd and good, or bad, made of one clip of speech."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import soxr

if TYPE_CHECKING:
    from pathlib import Path

    from ser_agent.audio import Samples

RATE = 16_000


def write_good_ones(folder: Path, speech: Samples) -> list[str]:
    """Write one clip in many ways.

    Args:
        folder: where.
        speech: int16, mono, 16 kHz.

    Returns:
        The names of the files.
    """
    sound = speech.astype(np.float64) / 32_768
    for subtype in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM"):
        soundfile.write(folder / f"{subtype}.wav", sound, RATE, subtype=subtype)
    for suffix in ("mp3", "flac", "ogg", "aiff", "au", "w64", "rf64"):
        soundfile.write(folder / f"file.{suffix}", sound, RATE)
    for rate in (8_000, 11_025, 44_100, 192_000):
        soundfile.write(folder / f"{rate}.wav", soxr.resample(sound, RATE, rate), rate)
    soundfile.write(folder / "8-channels.wav", np.repeat(sound[:, None], 8, axis=1), RATE)
    soundfile.write(folder / "loud.wav", 3.0 * sound / np.abs(sound).max(), RATE, subtype="FLOAT")
    soundfile.write(folder / "with-an-offset.wav", np.clip(sound + 0.1, -1, 1), RATE)
    soundfile.write(folder / "SHOUTING.WAV", sound, RATE)
    written = sorted(path.name for path in folder.iterdir())
    _promise(folder / "stream.wav", speech, 0xFFFF_FFFF)
    return [*written, "stream.wav"]


def write_cut_off(path: Path, speech: Samples) -> None:
    """A file whose header promises twice as much as there is: the recorder was unplugged."""
    _promise(path, speech, 2 * speech.nbytes)


def _promise(path: Path, speech: Samples, size: int) -> None:
    soundfile.write(path, speech, RATE)
    content = bytearray(path.read_bytes())
    content[40:44] = size.to_bytes(4, "little")
    path.write_bytes(content)


def write_bad_ones(folder: Path, speech: Samples) -> None:
    """Write what no sound can be had from; see the names."""
    whole = folder / "whole.wav"
    soundfile.write(whole, speech, RATE)
    content = whole.read_bytes()
    (folder / "empty.wav").touch()
    (folder / "cut-in-the-header.wav").write_bytes(content[:30])
    (folder / "odd-rate.wav").write_bytes(content[:24] + (2_000_000_000).to_bytes(4, "little") + content[28:])
    (folder / "text.wav").write_text("This is no sound.\n" * 99)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe.wav")
    (folder / "loop.wav").symlink_to("loop.wav")
    for name, samples in (("none", 0), ("zeros", RATE), ("minutes", 61 * RATE), ("blink", RATE // 20)):
        sound = np.resize(speech, samples) if name in {"minutes", "blink"} else np.zeros(samples, np.int16)
        soundfile.write(folder / f"{name}.wav", sound, RATE)
    for name, value in (("nan", np.nan), ("infinite", np.inf)):
        sound = np.full(RATE, value, np.float32)
        soundfile.write(folder / f"{name}.wav", sound, RATE, subtype="FLOAT")
    damaged = folder / "damaged.flac"
    soundfile.write(damaged, np.resize(speech, 10 * RATE), RATE)
    compressed = damaged.read_bytes()
    damaged.write_bytes(compressed[: len(compressed) // 2])
