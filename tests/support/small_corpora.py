"""A folder of corpora in miniature: real emotional speech under several names, made noises, a made room."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = Path(__file__).resolve().parents[1] / "data"
CLIPS = {
    "1011_ITH_HAP_XX": "happy",
    "1031_IEO_SAD_LO": "sad",
    "1051_IEO_FEA_LO": "fear",
    "1061_IEO_ANG_LO": "angry",
    "1066_IOM_NEU_XX": "neutral",
    "1076_ITH_DIS_XX": "disgust",
}
SPEAKERS = {"ravdess": ("03", "04"), "nemo": ("KD0", "KS0")}
RATE = 16_000


def make_corpora(folder: Path) -> Path:
    """Make manifests and sound: 18 clips of ``dev`` speakers, two noises, two rooms, two plain recordings."""
    rng = np.random.default_rng(0)
    rows = []
    for number, (name, emotion) in enumerate(CLIPS.items()):
        speakers = {"crema-d": name[:4], **{corpus: people[number % 2] for corpus, people in SPEAKERS.items()}}
        for corpus, speaker in speakers.items():
            path = f"{corpus}/{speaker}/{name}.opus"
            _copy(name, folder / path)
            label = "surprise" if (corpus, emotion) == ("nemo", "disgust") else emotion
            rows.append([path, corpus, speaker, label, "", "en", "2.0", "dev"])
    _manifest(folder, "path,corpus,speaker,emotion,text_id,lang,duration,split", rows)
    bark = np.repeat(rng.uniform(0.0, 0.5, 60), RATE // 10) * rng.standard_normal(6 * RATE)
    _write(folder / "noise/a/dog.flac", bark)
    _write(folder / "noise/a/wind.flac", 0.05 * rng.standard_normal(3 * RATE))
    noises = [[f"a/{kind}.flac", "a", kind, "6.0", "-20", "CC0-1.0"] for kind in ("dog", "wind")]
    _manifest(folder / "noise", "path,set,class,duration_s,rms_dbfs,licence", noises)
    echoes = np.exp(-np.arange(4000) / 600) * rng.standard_normal(4000) * 0.1
    echoes[40] = 0.9
    rooms = [[f"iosr/{room}.flac", "iosr", room, "0.25", "0.3", "MIT"] for room in ("room-a", "room-b")]
    for path, *_ in rooms:
        _write(folder / "rir" / path, echoes)
    _manifest(folder / "rir", "path,set,room,duration_s,rt60_est_s,licence", rooms)
    readings = [[f"{speaker}/{speaker}-1-0.opus", "a", speaker, "F", "2.0"] for speaker in ("26", "103")]
    for path, *_ in readings:
        _copy("1066_IOM_NEU_XX", folder / "plain-speech" / path)
    _manifest(folder / "plain-speech", "path,set,speaker,sex,duration_s", readings)
    return folder


def _copy(name: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(DATA / f"{name}.opus", target)


def _write(path: Path, sound: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound.clip(-1, 1), RATE, subtype="PCM_16")


def _manifest(folder: Path, header: str, rows: Sequence[Sequence[str]]) -> None:
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])
