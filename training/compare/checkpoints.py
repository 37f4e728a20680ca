"""The two Wav2Vec2s: one of the embedded model's shape that starts from random weights, and the embedded model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoConfig, Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

from ser_agent.audio import SAMPLE_RATE, Utterance
from ser_agent.classifiers.metadata import KEY
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.ports import PluginContext
from training.answers import read_config
from training.compare.fitting import Trainee, fit
from training.conditions import Condition
from training.corpora import LABELS
from training.export import MODEL_FOLDER
from training.predictions import Checkpoint, digest_of
from training.sound import collate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ser_agent.audio import Samples
    from training.cache import Floats
    from training.compare.material import Material
    from training.compare.settings import CompareSettings
    from training.corpora import Clip

_SHAPE = (
    "conv_dim",
    "conv_kernel",
    "conv_stride",
    "hidden_size",
    "num_hidden_layers",
    "intermediate_size",
    "num_conv_pos_embeddings",
    "use_weighted_layer_sum",
)


class Scratch:
    """A Wav2Vec2 as large as the embedded model, without anything that it was pretrained with."""

    def __init__(self, settings: CompareSettings, material: Material) -> None:
        self._settings = settings
        self._material = material

    def made_with(self) -> Mapping[str, Any]:
        """Tell the settings of this system, and the embedded model's shape."""
        config = random_config(MODEL_FOLDER).to_dict()
        return {**self._settings.wav2vec2.model_dump(mode="json"), "shape": {key: config[key] for key in _SHAPE}}

    def train(self, folder: Path) -> Mapping[str, Any]:
        """Train all of it, from random weights."""
        torch.manual_seed(self._settings.seed)
        model = Wav2Vec2ForSequenceClassification(random_config(MODEL_FOLDER))

        def forward(sounds: Sequence[Floats]) -> torch.Tensor:
            values, mask = collate(sounds)
            logits: torch.Tensor = model(values, attention_mask=mask).logits
            return logits

        trainee = Trainee("wav2vec2", model, forward, self._material.sound, SAMPLE_RATE, lambda sound, _: sound)
        report = fit(trainee, self._material, self._settings.wav2vec2, self._settings)
        model.save_pretrained(folder)
        Wav2Vec2FeatureExtractor(return_attention_mask=True, do_normalize=True).save_pretrained(folder)
        return report

    def load(self, folder: Path) -> TrainedCheckpoint:
        """Take up what was trained."""
        return TrainedCheckpoint(folder, self._material)


class Ours:
    """The embedded model, as it is shipped. It is not trained here."""

    def __init__(self, _settings: CompareSettings, material: Material) -> None:
        self._material = material

    def made_with(self) -> Mapping[str, Any]:
        """Tell these weights, and how the agent reads them, apart from others."""
        metadata = read_config(MODEL_FOLDER).metadata
        return {"digest": digest_of(MODEL_FOLDER), "reading": metadata.model_dump(mode="json")}

    def train(self, _folder: Path) -> Mapping[str, Any]:
        """Do nothing; how it was trained, its card tells."""
        return {}

    def load(self, _folder: Path) -> TrainedCheckpoint:
        """Take up the embedded model."""
        return TrainedCheckpoint(MODEL_FOLDER, self._material)


class TrainedCheckpoint:
    """A checkpoint, read as the agent reads it, but with the even prior of the corpora."""

    def __init__(self, folder: Path, material: Material) -> None:
        self._material = material
        self._checkpoint = Checkpoint(folder)
        self._reading = read_config(folder)
        self._classifier = Wav2Vec2Classifier(
            Wav2Vec2Options(model=str(folder), device="cpu", threads=1), PluginContext("training", folder)
        )

    @property
    def parameters(self) -> int:
        """Its weights."""
        return int(self._checkpoint.about["parameters"])

    def logits(self, clips: Sequence[Clip]) -> NDArray[np.float64]:
        """Classify clips: shape ``(clips, 7 or more)``."""
        paths = tuple(clip.path for clip in clips)
        condition = Condition("clips", paths, lambda row: self._material.sound(clips[row]), paths)
        return self._reading.calibrated(self._checkpoint.logits(condition).astype(np.float64))

    def answer(self, samples: Samples) -> object:
        """Classify one sound, as the agent does."""
        self._classifier.load()
        utterance = Utterance(samples, 0, "silence", captured_at=0.0, closed_at=len(samples) / SAMPLE_RATE)
        return self._classifier.classify([utterance])


def random_config(like: Path) -> Wav2Vec2Config:
    """Give the shape of a checkpoint with the seven emotions as outputs, and nothing else of it.

    Args:
        like: the folder of a Wav2Vec2 checkpoint.
    """
    values = AutoConfig.from_pretrained(like).to_dict()
    values.pop(KEY, None)
    values["id2label"] = dict(enumerate(LABELS))
    values["label2id"] = {label: index for index, label in enumerate(LABELS)}
    config: Wav2Vec2Config = Wav2Vec2Config.from_dict(values)
    return config
