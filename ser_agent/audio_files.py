"""Decoding audio files: WAV, FLAC, OGG, MP3 and what else libsndfile reads, in bounded memory."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from ser_agent.audio import SAMPLE_RATE, Samples
from ser_agent.errors import AudioFileError
from ser_agent.resampling import MonoResampler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".rf64"})
BLOCK_S = 1.0
MAX_UTTERANCE_S = 60.0
MIN_UTTERANCE_S = 0.1
_SHORTENED = re.compile(r"^\s*data\s*:\s*\d+ \(should be (\d+)\)", re.MULTILINE)


def find_audio_files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and those below the folders named, in the order of their names.

    Raises:
        AudioFileError: a folder holds no audio file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        if not inside:
            raise AudioFileError(f"{path}: a folder without audio files ({', '.join(sorted(SUFFIXES))})")
        found += inside
    return found


def stream_file(path: Path, block_s: float = BLOCK_S) -> Iterator[Samples]:
    """Decode a file of any length, rate and number of channels.

    Args:
        path: the file.
        block_s: seconds of sound read at a time.

    Yields:
        int16 mono 16 kHz, shape ``(n,)``, n at least 1.

    Raises:
        AudioFileError: it cannot be read, or holds no sound; the message names file and reason.
    """
    with _opened(path) as file:
        _warn_if_shortened(path)
        resampler = MonoResampler(file.samplerate)
        total = 0
        while True:
            block = file.read(max(1, round(block_s * file.samplerate)), dtype="float32")
            if not np.isfinite(block).all():
                raise AudioFileError(f"{path}: holds samples that are no numbers (NaN or infinite)")
            last = len(block) == 0
            samples = resampler.convert(block, last=last)
            total += len(samples)
            if len(samples):
                yield samples
            if last:
                break
    if total == 0:
        raise AudioFileError(f"{path}: holds no samples")


def read_utterance(path: Path, max_s: float = MAX_UTTERANCE_S) -> Samples:
    """Decode a file that is one utterance.

    Returns:
        int16 mono 16 kHz, shape ``(n,)``.

    Raises:
        AudioFileError: it cannot be read, is longer than ``max_s`` or too short, or holds silence only.
    """
    blocks: list[Samples] = []
    length = 0
    for block in stream_file(path):
        blocks.append(block)
        length += len(block)
        if length > max_s * SAMPLE_RATE:
            raise AudioFileError(f"{path}: longer than {max_s:.0f} s: use --segment to cut it into utterances")
    if length < MIN_UTTERANCE_S * SAMPLE_RATE:
        raise AudioFileError(f"{path}: shorter than {MIN_UTTERANCE_S} s: too short to hear anything in")
    samples = np.concatenate(blocks)
    if not samples.any():
        raise AudioFileError(f"{path}: holds only silence")
    return samples


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise AudioFileError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    if path.is_dir():
        raise AudioFileError(f"{path}: is a folder")
    if size == 0:
        raise AudioFileError(f"{path}: is empty")
    try:
        with soundfile.SoundFile(path) as file:
            yield file
    except soundfile.LibsndfileError as error:
        raise AudioFileError(f"{path}: not an audio file that can be read: {error.error_string}") from error
    except OSError as error:
        raise AudioFileError(f"{path}: {(error.strerror or str(error)).lower()}") from error


def _warn_if_shortened(path: Path) -> None:
    """Say where a header promises more than the file holds; what there is will be used."""
    if _SHORTENED.search(soundfile.info(str(path), verbose=True).extra_info):
        log.warning("%s: shorter than its header says (cut off?): using what there is", path)
