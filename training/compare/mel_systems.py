"""The CNN and the LSTM on log-mel spectrograms: how they are trained and used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from ser_agent.audio import SAMPLE_RATE, float_from_pcm16
from training.compare.features import cached_features, log_mels
from training.compare.fitting import Trainee, fit
from training.compare.nets import MelCnn, MelLstm, padded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ser_agent.audio import Samples
    from training.compare.features import Rows
    from training.compare.material import Material
    from training.compare.settings import CompareSettings, MelSettings, NetSettings
    from training.corpora import Clip

_NETS = {"cnn": MelCnn, "lstm": MelLstm}
_FILE = "net.pt"
_MASKED_FRAMES = 0.2
_MASKED_BANDS = 0.2


class MelSystem:
    """A net on log-mel spectrograms."""

    def __init__(self, settings: CompareSettings, material: Material, kind: Literal["cnn", "lstm"]) -> None:
        self._settings = settings
        self._material = material
        self._kind = kind

    def made_with(self) -> Mapping[str, Any]:
        """Tell the settings of this system."""
        mels, net = self._settings.mels, self._goal()
        return {"mels": mels.model_dump(mode="json"), **net.model_dump(mode="json")}

    def train(self, folder: Path) -> Mapping[str, Any]:
        """Train the net from scratch."""
        spectrograms = self._spectrograms()
        torch.manual_seed(self._settings.seed)
        known = [spectrograms[clip.path] for clip in self._material.part("train")]
        net = _NETS[self._kind](*_band_moments(known))
        report = fit(self._trainee(net, spectrograms), self._material, self._goal(), self._settings)
        torch.save(net.state_dict(), folder / _FILE)
        return report

    def load(self, folder: Path) -> TrainedNet:
        """Take up what was trained."""
        bands = self._settings.mels.bands
        net = _NETS[self._kind](torch.zeros(bands), torch.ones(bands))
        net.load_state_dict(torch.load(folder / _FILE, weights_only=True))
        return TrainedNet(self._trainee(net, self._spectrograms()), self._settings.mels)

    def _goal(self) -> NetSettings:
        return self._settings.cnn if self._kind == "cnn" else self._settings.lstm

    def _trainee(self, net: torch.nn.Module, spectrograms: Mapping[str, Rows]) -> Trainee:
        return Trainee(
            name=self._kind,
            model=net,
            forward=lambda inputs: net(*padded(inputs)),
            inputs=lambda clip: spectrograms[clip.path],
            inputs_per_s=SAMPLE_RATE / self._settings.mels.hop_samples,
            augment=masked,
        )

    def _spectrograms(self) -> dict[str, Rows]:
        mels = self._settings.mels
        return cached_features(
            self._material,
            "log-mels",
            lambda sound: log_mels(sound, mels),
            mels.model_dump(mode="json"),
            self._settings.features_folder,
        )


@dataclass(frozen=True, slots=True)
class TrainedNet:
    """A trained net with the clips' spectrograms."""

    trainee: Trainee
    mels: MelSettings

    @property
    def parameters(self) -> int:
        """Its weights."""
        return sum(value.numel() for value in self.trainee.model.parameters())

    def logits(self, clips: Sequence[Clip]) -> NDArray[np.float64]:
        """Classify clips: shape ``(clips, 7)``."""
        return self.trainee.logits(clips)

    def answer(self, samples: Samples) -> object:
        """Classify one sound."""
        self.trainee.model.eval()
        with torch.inference_mode():
            return self.trainee.forward([log_mels(float_from_pcm16(samples), self.mels)])


def masked(mels: Rows, rng: np.random.Generator) -> Rows:
    """Put the mean in place of a stretch of time and of one of bands, up to a fifth each (Park et al., 2019).

    Args:
        mels: shape ``(frames, bands)``.
        rng: where chance comes from.
    """
    result = mels.copy()
    for axis, share in enumerate((_MASKED_FRAMES, _MASKED_BANDS)):
        size = mels.shape[axis]
        width = int(rng.integers(int(size * share) + 1))
        start = int(rng.integers(size - width + 1))
        stretch = slice(start, start + width)
        result[stretch if axis == 0 else (slice(None), stretch)] = mels.mean()
    return result


def _band_moments(spectrograms: Sequence[Rows]) -> tuple[torch.Tensor, torch.Tensor]:
    frames = np.concatenate(spectrograms).astype(np.float32)
    return torch.from_numpy(frames.mean(axis=0)), torch.from_numpy(frames.std(axis=0) + 1e-3)
