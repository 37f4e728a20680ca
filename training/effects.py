"""What a room, a microphone and a line do to speech, and how much voices differ."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np
import soundfile
import soxr
from audiomentations import BandPassFilter, ClippingDistortion, Mp3Compression, PitchShift
from scipy.signal import fftconvolve  # type: ignore[import-untyped]

from ser_agent.audio import SAMPLE_RATE, float_from_pcm16, pcm16_from_float

if TYPE_CHECKING:
    from training.cache import Floats

_TELEPHONE_HZ: Final = (300.0, 3400.0)
_MP3_LEAST_SAMPLES: Final = SAMPLE_RATE // 10
_OPUS_PACKET_SAMPLES: Final = SAMPLE_RATE // 50


def changed_speed(sound: Floats, ratio: float) -> Floats:
    """Play faster (above 1) or slower, pitch included: float32, shape ``(round(n / ratio),)`` or so."""
    if ratio == 1.0:
        return sound
    return np.asarray(soxr.resample(sound, ratio, 1.0, quality="LQ"), dtype=np.float32)


def changed_pitch(sound: Floats, semitones: float) -> Floats:
    """Shift the pitch and keep the speed; the length stays."""
    transform = PitchShift(min_semitones=semitones, max_semitones=semitones, p=1.0)
    return _applied(transform, sound, num_semitones=semitones)


def in_room(sound: Floats, response: Floats) -> Floats:
    """Convolve with a room's impulse response that begins with the direct sound; the length stays."""
    return np.asarray(fftconvolve(sound, response)[: len(sound)], dtype=np.float32)


def with_noise(sound: Floats, noise: Floats, snr_db: float) -> Floats:
    """Add noise at a signal-to-noise ratio in dB; silent noise changes nothing.

    Args:
        sound: float32, shape ``(n,)``.
        noise: likewise.
        snr_db: of the powers, each over the whole length.
    """
    noise_power = float(np.mean(np.square(noise)))
    if noise_power < 1e-12:
        return sound
    gain = np.sqrt(float(np.mean(np.square(sound))) / noise_power) * 10 ** (-snr_db / 20)
    return np.asarray(sound + np.float32(gain) * noise, dtype=np.float32)


def at_level(sound: Floats, level_dbfs: float) -> Floats:
    """Record with 16 bits at a root-mean-square level: a low one is coarse, a high one clips. Silence stays so."""
    power = float(np.mean(np.square(sound)))
    if power == 0.0:
        return sound
    return float_from_pcm16(pcm16_from_float(sound * np.float32(10 ** (level_dbfs / 20) / np.sqrt(power))))


def clipped(sound: Floats, percent: float) -> Floats:
    """Clip so many of the samples, half of them above and half below."""
    return _applied(ClippingDistortion(p=1.0), sound, percentile_threshold=percent)


def on_telephone(sound: Floats) -> Floats:
    """Keep 300 to 3400 Hz, falling off by 24 dB an octave."""
    low, high = _TELEPHONE_HZ
    band = {"center_freq": (low + high) / 2, "bandwidth": high - low, "rolloff": 24}
    return _applied(BandPassFilter(p=1.0), sound, **band)


def as_mp3(sound: Floats, kbit: int) -> Floats:
    """Code and decode as MP3 at a bit rate in kbit/s; the length stays."""
    padded = np.pad(_within_full_scale(sound), (0, max(0, _MP3_LEAST_SAMPLES - len(sound))))
    return _applied(Mp3Compression(kbit, kbit, p=1.0), padded, bitrate=kbit)[: len(sound)]


def as_opus(sound: Floats, kbit: float) -> Floats:
    """Code and decode as Opus at about this bit rate in kbit/s; the length stays."""
    file = BytesIO()
    with av.open(file, "w", format="ogg") as container:
        # The least effort: libsndfile's full one takes ten times as long.
        options = {"compression_level": "0", "application": "voip"}
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono", options=options)
        stream.bit_rate = round(kbit * 1000)
        # To whole packets, because libsndfile takes some files that end within one for damaged.
        samples = pcm16_from_float(np.pad(_within_full_scale(sound), (0, -len(sound) % _OPUS_PACKET_SAMPLES)))
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return _decoded(file)[: len(sound)]


def as_mulaw(sound: Floats) -> Floats:
    """Code and decode as µ-law: 8 bits a sample; the length stays."""
    file = BytesIO()
    soundfile.write(file, _within_full_scale(sound), SAMPLE_RATE, format="WAV", subtype="ULAW")
    return _decoded(file)


def _decoded(file: BytesIO) -> Floats:
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return np.asarray(decoded, dtype=np.float32)


def _within_full_scale(sound: Floats) -> Floats:
    peak = float(np.abs(sound).max())
    return sound if peak <= 1.0 else np.asarray(sound / np.float32(peak), dtype=np.float32)


def _applied(transform: Any, sound: Floats, **parameters: float) -> Floats:  # noqa: ANN401 - has no types
    """Apply a transform with parameters of ours: its own would come from chance that all the process shares."""
    transform.parameters = {"should_apply": True, **parameters}
    transform.freeze_parameters()
    return np.asarray(transform(sound, SAMPLE_RATE), dtype=np.float32)
