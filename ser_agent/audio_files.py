"""Decoding audio files: WAV, FLAC, OGG, MP3 and what else libsndfile reads, in bounded memory."""

from __future__ import annotations

import logging
import re
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from ser_agent.audio import SAMPLE_RATE, Samples
from ser_agent.errors import AudioFileError
from ser_agent.resampling import MonoResampler

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".rf64"})
BLOCK_S = 1.0
BLOCK_VALUES = 2**21
"""Whatever a header claims of rate and channels, no more values than that are in memory."""
LOWEST_RATE = 1_000
HIGHEST_RATE = 1_000_000
"""Outside these the header is damaged, and resampling would take for ever."""
LOUDEST = np.float32(32_768)
"""What is louder, 1 being full scale, is damaged, and would overflow as it is averaged and resampled."""
MAX_UTTERANCE_S = 60.0
MIN_UTTERANCE_S = 0.1
_PROMISED = re.compile(r"^\s*data\s*:\s*(\d+) \(should be \d+\)", re.MULTILINE)
_UNKNOWN_FRAMES = 2**62
_UNKNOWN_BYTES = 0x7FFF_0000
"""Programs that write into a pipe promise at least so much, not knowing how much it will be."""
_NOTICEABLE = 0.95


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
        yield from _blocks(path, file, block_s)


def stream_opened(name: str, raw: BinaryIO, block_s: float = BLOCK_S) -> Iterator[Samples]:
    """Decode what does not lie on this machine, likewise.

    Args:
        name: what messages call it.
        raw: its bytes, which can be sought in.
        block_s: seconds of sound read at a time.

    Yields:
        int16 mono 16 kHz, shape ``(n,)``, n at least 1.

    Raises:
        AudioFileError: it cannot be read, or holds no sound; the message gives name and reason.
    """
    with _decoder(name, raw) as file:
        _check_rate(name, file)
        yield from _blocks(name, file, block_s)


def _blocks(path: Path | str, file: soundfile.SoundFile, block_s: float) -> Iterator[Samples]:
    most = max(1, min(round(block_s * file.samplerate), BLOCK_VALUES // file.channels))
    resampler = MonoResampler(file.samplerate)
    position = total = 0
    last = False
    while not last:
        block = _read(path, file, position, most)
        position += len(block)
        last = len(block) == 0
        samples = resampler.convert(block, last=last)
        total += len(samples)
        if len(samples):
            yield samples
    if total == 0:
        raise AudioFileError(f"{path}: holds no samples")
    if _was_cut_off(file, position):
        log.warning("%s: shorter than its header says (cut off?): used what there is", path)


def read_utterance(path: Path, max_s: float = MAX_UTTERANCE_S) -> Samples:
    """Decode a file that is one utterance.

    Returns:
        int16 mono 16 kHz, shape ``(n,)``.

    Raises:
        AudioFileError: it cannot be read, is longer than ``max_s`` or too short, or holds silence only.
    """
    return one_utterance(path, stream_file(path), max_s, "use --segment to cut it into utterances")


def one_utterance(path: Path | str, decoded: Iterable[Samples], max_s: float, advice: str) -> Samples:
    """Join a file's blocks where they can be one utterance.

    Args:
        path: the file.
        decoded: its sound, block by block; no more is taken of what is too long.
        max_s: the longest that an utterance may be, seconds.
        advice: what to do with a longer one.

    Returns:
        int16 mono 16 kHz, shape ``(n,)``.

    Raises:
        AudioFileError: it is longer than ``max_s`` or too short, or holds silence only.
    """
    blocks: list[Samples] = []
    length = 0
    for block in decoded:
        blocks.append(block)
        length += len(block)
        if length > max_s * SAMPLE_RATE:
            raise AudioFileError(f"{path}: longer than {max_s:.0f} s: {advice}")
    if length < MIN_UTTERANCE_S * SAMPLE_RATE:
        raise AudioFileError(f"{path}: shorter than {MIN_UTTERANCE_S} s: too short to hear anything in")
    samples = np.concatenate(blocks)
    if not samples.any():
        raise AudioFileError(f"{path}: holds only silence")
    return samples


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    try:
        # Looked at before it is opened: opening a pipe would wait for somebody to write.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise AudioFileError(f"{path}: is not a regular file")
        if status.st_size == 0:
            raise AudioFileError(f"{path}: is empty")
        raw = path.open("rb")
    except OSError as error:
        raise AudioFileError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    with raw, _decoder(path, raw.fileno()) as file:
        _check_rate(path, file)
        yield file


def _check_rate(path: Path | str, file: soundfile.SoundFile) -> None:
    if not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
        raise AudioFileError(f"{path}: its header is damaged: {file.samplerate} Hz is no rate of sound")


def _decoder(path: Path | str, raw: int | BinaryIO) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(raw, closefd=False)
    except soundfile.LibsndfileError as error:
        raise AudioFileError(f"{path}: not an audio file that can be read: {_reason(error)}") from error


def _read(path: Path | str, file: soundfile.SoundFile, position: int, most: int) -> NDArray[np.float32]:
    """The next block; none at the end."""
    try:
        block: NDArray[np.float32] = file.read(most, dtype="float32")
    except soundfile.LibsndfileError as error:
        where = f"after {position / file.samplerate:.1f} s"
        raise AudioFileError(f"{path}: damaged {where}: {_reason(error)}") from error
    if not np.isfinite(block).all():
        raise AudioFileError(f"{path}: holds samples that are no numbers (NaN or infinite)")
    return np.clip(block, -LOUDEST, LOUDEST)


def _reason(error: soundfile.LibsndfileError) -> str:
    return str(error.error_string).removeprefix("Error : ").rstrip(".")


def _was_cut_off(file: soundfile.SoundFile, read: int) -> bool:
    """Whether the header promises noticeably more than there was."""
    if read < _NOTICEABLE * file.frames and file.frames < _UNKNOWN_FRAMES:
        return True
    promise = _PROMISED.search(file.extra_info)
    return promise is not None and int(promise[1]) < _UNKNOWN_BYTES
