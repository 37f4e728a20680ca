"""A support vector machine on MFCC statistics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import joblib  # type: ignore[import-untyped]
import numpy as np
from rich.progress import track
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from ser_agent.audio import float_from_pcm16
from training.compare.features import cached_features, mfcc_statistics
from training.corpora import sampling_weights
from training.figures import mean_uar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ser_agent.audio import Samples
    from training.compare.features import Rows
    from training.compare.material import Material
    from training.compare.settings import CompareSettings
    from training.corpora import Clip

_FILE = "svm.joblib"


class Svm:
    """Radial basis functions on standardised statistics; the held-out speakers choose the cost."""

    def __init__(self, settings: CompareSettings, material: Material) -> None:
        self._settings = settings
        self._material = material

    def made_with(self) -> Mapping[str, Any]:
        """Tell the settings of this system."""
        return self._settings.svm.model_dump(mode="json")

    def train(self, folder: Path) -> Mapping[str, Any]:
        """Fit one machine for each cost and keep the best; clips weigh as the nets draw them."""
        train, held = self._material.part("train"), self._material.part("held")
        statistics = self._statistics()
        known, unknown = (_stacked(statistics, part) for part in (train, held))
        labels = [clip.label for clip in train]
        weights = np.array(sampling_weights(train)) * len(train)
        machines, scores = [], []
        for cost in track(self._settings.svm.costs, "svm"):
            machine = make_pipeline(StandardScaler(), SVC(C=cost))
            machine.fit(known, labels, svc__sample_weight=weights)
            machines.append(machine)
            scores.append(mean_uar(np.asarray(machine.decision_function(unknown)), held)["mean"])
        best = int(np.argmax(scores))
        joblib.dump(machines[best], folder / _FILE)
        return {"cost": self._settings.svm.costs[best], "held_uar": scores[best]}

    def load(self, folder: Path) -> TrainedSvm:
        """Take up what was trained."""
        return TrainedSvm(joblib.load(folder / _FILE), self._statistics())

    def _statistics(self) -> dict[str, Rows]:
        return cached_features(
            self._material, "mfcc", lambda sound: mfcc_statistics(sound)[None], {}, self._settings.features_folder
        )


@dataclass(frozen=True, slots=True)
class TrainedSvm:
    """A fitted machine, and the statistics of the clips by their paths."""

    machine: Pipeline
    statistics: Mapping[str, Rows]

    @property
    def parameters(self) -> int:
        """Numbers of its support vectors, their weights, the intercepts and the standardisation."""
        scaler, machine = self.machine[0], self.machine[-1]
        kept = (machine.support_vectors_, machine.dual_coef_, machine.intercept_, scaler.mean_, scaler.scale_)
        return sum(array.size for array in kept)

    def logits(self, clips: Sequence[Clip]) -> NDArray[np.float64]:
        """Give its decision function: shape ``(clips, 7)``."""
        return np.asarray(self.machine.decision_function(_stacked(self.statistics, clips)))

    def answer(self, samples: Samples) -> object:
        """Classify one sound."""
        return self.machine.decision_function(mfcc_statistics(float_from_pcm16(samples))[None])


def _stacked(statistics: Mapping[str, Rows], clips: Sequence[Clip]) -> Rows:
    return np.concatenate([statistics[clip.path] for clip in clips])
