"""What the systems that do not hear the waveform are given: MFCC statistics and log-mel spectrograms."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

import librosa
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from ser_agent.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from training.cache import Floats
    from training.compare.material import Material
    from training.compare.settings import MelSettings

Rows: TypeAlias = NDArray[np.floating[Any]]
"""A clip's features, shape ``(rows, width)``."""

_WINDOW_SAMPLES = 512
_RANGE_DB = 80.0


def mfcc_statistics(sound: Floats) -> Floats:
    """Describe a sound by means and deviations over time of 20 MFCCs and their first and second differences.

    Args:
        sound: float32, shape ``(n,)``, at 16 kHz, 0.3 s or longer.

    Returns:
        float32, shape ``(120,)``.
    """
    mfcc = librosa.feature.mfcc(y=sound, sr=SAMPLE_RATE, n_mfcc=20)
    rows = np.concatenate([mfcc, librosa.feature.delta(mfcc), librosa.feature.delta(mfcc, order=2)])
    return np.concatenate([rows.mean(axis=1), rows.std(axis=1)]).astype(np.float32)


def log_mels(sound: Floats, settings: MelSettings) -> NDArray[np.float16]:
    """Compute a log-mel spectrogram over windows of 32 ms.

    Args:
        sound: float32, shape ``(n,)``, at 16 kHz.
        settings: bands and hop.

    Returns:
        In dB, at most 80 below the loudest, float16, shape ``(frames, bands)``.
    """
    power = librosa.feature.melspectrogram(
        y=sound, sr=SAMPLE_RATE, n_fft=_WINDOW_SAMPLES, hop_length=settings.hop_samples, n_mels=settings.bands
    )
    return np.asarray(librosa.power_to_db(power, top_db=_RANGE_DB).T, dtype=np.float16)


def cached_features(
    material: Material, kind: str, compute: Callable[[Floats], Rows], made_with: Mapping[str, Any], folder: Path
) -> dict[str, Rows]:
    """Give every clip's features by its path; they are computed once, and anew where clips or settings changed.

    Args:
        material: the clips.
        kind: names the file.
        compute: features, shape ``(rows, width)``, of a sound.
        made_with: all settings that they depend on.
        folder: of the cache, made where it is missing.
    """
    path, key = folder / f"{kind}.npz", json.dumps({**made_with, "material": material.digest}, sort_keys=True)
    paths = [clip.path for clip in material.clips]
    if path.exists():
        with np.load(path) as kept:
            if str(kept["made_with"]) == key:
                return dict(zip(paths, np.split(kept["rows"], kept["ends"][:-1]), strict=True))
    found = [compute(material.sound(clip)) for clip in track(material.clips, kind)]
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        ends = np.cumsum([len(rows) for rows in found])
        np.savez(file, rows=np.concatenate(found), ends=ends, made_with=np.array(key))
    unfinished.replace(path)
    return dict(zip(paths, found, strict=True))
