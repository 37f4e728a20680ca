"""What the model has to beat: a support vector machine on MFCC statistics, trained on the same clips."""

from __future__ import annotations

from typing import TYPE_CHECKING

import librosa
import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ser_agent.audio import SAMPLE_RATE
from training.cache import Cache
from training.conditions import CLIP_CONDITIONS
from training.corpora import read_manifest
from training.evaluate import judge, sounds_of
from training.figures import mean_uar
from training.results import keep_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.cache import Floats
    from training.corpora import Clip
    from training.settings import Settings

_COSTS = (1.0, 3.0, 10.0, 30.0)


def baseline(settings: Settings) -> None:
    """Train one SVM for each condition and keep its figures in the file of results.

    To its advantage each is trained on clips as it will hear them, and its cost is the one that does best on the
    held-out speakers.
    """
    cache = Cache(settings.cache_folder)
    clips = read_manifest(settings.corpora_folder, settings.held_out)
    machines, costs = {}, {}
    for condition in CLIP_CONDITIONS:
        machines[condition], costs[condition] = _train(cache, clips, condition)
        print(f"{condition}: cost {costs[condition]}", flush=True)

    def classify(condition: str, sounds: Sequence[Floats]) -> NDArray[np.float64]:
        return np.asarray(machines[condition].decision_function(_statistics_of(sounds)))

    keep_result(settings, "baseline", {"costs": costs, "figures": judge(settings, classify)})


def mfcc_statistics(sound: Floats) -> Floats:
    """Describe a sound by means and deviations over time of 20 MFCCs and their first and second differences.

    Args:
        sound: float32, shape ``(n,)``, at 16 kHz.

    Returns:
        float32, shape ``(120,)``.
    """
    mfcc = librosa.feature.mfcc(y=sound, sr=SAMPLE_RATE, n_mfcc=20)
    rows = np.concatenate([mfcc, librosa.feature.delta(mfcc), librosa.feature.delta(mfcc, order=2)])
    return np.concatenate([rows.mean(axis=1), rows.std(axis=1)]).astype(np.float32)


def _statistics_of(sounds: Sequence[Floats]) -> Floats:
    return np.stack([mfcc_statistics(sound) for sound in sounds])


def _train(cache: Cache, clips: Sequence[Clip], condition: str) -> tuple[Pipeline, float]:
    train = [clip for clip in clips if clip.part == "train"]
    held = [clip for clip in clips if clip.part == "held"]
    known, unknown = (_statistics_of(sounds_of(cache, part, condition)) for part in (train, held))
    machines = [make_pipeline(StandardScaler(), SVC(C=cost, class_weight="balanced")) for cost in _COSTS]
    scores = []
    for machine in machines:
        machine.fit(known, [clip.label for clip in train])
        scores.append(mean_uar(np.asarray(machine.decision_function(unknown)), held)["mean"])
    best = int(np.argmax(scores))
    return machines[best], _COSTS[best]
