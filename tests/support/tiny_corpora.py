"""Corpora of a few files, for the tests of training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from training.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPEECH = sorted((Path(__file__).resolve().parents[1] / "data").glob("*.opus"))
"""Real speech."""

NOISES = {"esc10/rain": "CC-BY-3.0", "esc50/wind": "CC-BY-NC-3.0", "blanket/boat": "CC0-1.0"}
"""Licences by folder; rain is for the figures."""


def wav(path: Path, samples: NDArray[Any], rate: int = 16_000) -> None:
    """Write a file, and the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)


def tiny_corpora(folder: Path) -> Settings:
    """Write a corpus of two clips, with noise and rooms of both parts; the cache is not yet there.

    The noises are constant, at 1/8, 2/8 and 3/8 in the order of ``NOISES``. The rooms have their direct sound at
    500 (room A) and 900 (room B, for the figures), and an echo of half its size and opposite sign 7 samples later.
    """
    corpora = folder / "corpora"
    (corpora / "crema-d").mkdir(parents=True)
    for name, file in zip(("a", "b"), SPEECH, strict=False):
        shutil.copy(file, corpora / "crema-d" / f"{name}.opus")
    (corpora / "manifest.csv").write_text(
        "path,corpus,speaker,emotion,text_id,lang,duration,split\n"
        "crema-d/a.opus,crema-d,1002,sad,1,en,3.0,train\ncrema-d/b.opus,crema-d,1001,sad,1,en,3.0,dev\n"
    )
    rows = [f"{name}/n.wav,x,{name.partition('/')[2]},1,-20,{licence}\n" for name, licence in NOISES.items()]
    for number, name in enumerate(NOISES, start=1):
        wav(corpora / "noise" / name / "n.wav", np.full(8_000, number / 8, dtype=np.float32))
    (corpora / "noise" / "manifest.csv").write_text("path,set,class,duration_s,rms_dbfs,licence\n" + "".join(rows))
    for name, peak in (("a", 500), ("b", 900)):
        response = np.zeros(4_000, dtype=np.float32)
        response[[peak, peak + 7]] = -0.5, 0.25
        wav(corpora / "rir" / f"{name}.wav", response)
    (corpora / "rir" / "manifest.csv").write_text(
        "path,set,room,duration_s,rt60_est_s,licence\na.wav,iosr,room-a,1,0.3,MIT\nb.wav,iosr,room-b,1,0.6,MIT\n"
    )
    return Settings(corpora=corpora, cache=folder / "cache")
