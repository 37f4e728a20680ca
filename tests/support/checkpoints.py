"""Tiny random checkpoints of many kinds. Importing this needs torch and transformers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    HubertConfig,
    HubertForSequenceClassification,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMForSequenceClassification,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier

Norm = Literal["group", "layer"]

LABELS = ("ang", "hap", "neu", "sad")
WIDTH = 16
_RAW = {
    "hubert": (HubertConfig, HubertForSequenceClassification),
    "wavlm": (WavLMConfig, WavLMForSequenceClassification),
}
_RAW["wav2vec2"] = (Wav2Vec2Config, Wav2Vec2ForSequenceClassification)
_SMALL: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": [16, 16],
    "conv_kernel": [20, 32],
    "conv_stride": [10, 32],
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 8,
}


class MakeClassifier(Protocol):
    """Makes a classifier of a folder or hub id, with further options."""

    def __call__(self, model: Path | str, **options: Any) -> Wav2Vec2Classifier:  # noqa: ANN401
        """Not loaded yet."""


class CheckpointBuilder:
    """Makes checkpoints in folders of its own under a given one."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def raw(
        self,
        kind: Literal["wav2vec2", "hubert", "wavlm"] = "wav2vec2",
        *,
        norm: Norm = "layer",
        mask: bool | None = None,
        labels: Sequence[str] = LABELS,
        rate: int = 16_000,
        **changes: Any,  # noqa: ANN401
    ) -> Path:
        """A model that hears the waveform.

        Args:
            kind: its family.
            norm: of the convolutions; the masks go with it unless ``mask`` says otherwise.
            mask: whether the extractor asks for an attention mask.
            labels: of its outputs.
            rate: the sampling rate that it claims to want.
            changes: of ``config.json``.
        """
        torch.manual_seed(0)
        config_class, model_class = _RAW[kind]
        config = config_class(
            **_SMALL,
            feat_extract_norm=norm,
            do_stable_layer_norm=norm == "layer",
            id2label=dict(enumerate(labels)),
        )
        folder = self._folder()
        self._save(model_class(config), folder)
        asks = norm == "layer" if mask is None else mask
        Wav2Vec2FeatureExtractor(sampling_rate=rate, return_attention_mask=asks).save_pretrained(folder)
        edit_json(folder / "config.json", **changes)
        return folder

    def whisper(self) -> Path:
        """A model that hears mel spectra of 30 s."""
        torch.manual_seed(0)
        config = WhisperConfig(
            d_model=WIDTH,
            encoder_layers=1,
            encoder_attention_heads=2,
            encoder_ffn_dim=32,
            decoder_layers=1,
            decoder_attention_heads=2,
            decoder_ffn_dim=32,
            vocab_size=60_000,
            classifier_proj_size=8,
            id2label=dict(enumerate(LABELS)),
        )
        folder = self._folder()
        self._save(WhisperForAudioClassification(config), folder)
        WhisperFeatureExtractor().save_pretrained(folder)
        return folder

    def custom_head(self, out: str = "out_proj", **changes: Any) -> Path:  # noqa: ANN401
        """A model with a head of its author's: dense, something, ``out``."""
        folder = self.raw(
            **{"architectures": ["Wav2Vec2ForSpeechClassification"], "pooling_mode": "mean", **changes}
        )
        weights = {key: value for key, value in self.weights(folder).items() if key.startswith("wav2vec2.")}
        torch.manual_seed(1)
        weights["classifier.dense.weight"] = torch.randn(WIDTH, WIDTH)
        weights["classifier.dense.bias"] = torch.randn(WIDTH)
        weights[f"classifier.{out}.weight"] = torch.randn(len(LABELS), WIDTH)
        weights[f"classifier.{out}.bias"] = torch.randn(len(LABELS))
        self.save_weights(folder, weights)
        return folder

    def encoder_alone(self) -> Path:
        """A model that was never trained to classify."""
        folder = self.raw()
        torch.manual_seed(0)
        self._save(
            Wav2Vec2Model(Wav2Vec2Config(**_SMALL, feat_extract_norm="layer", do_stable_layer_norm=True)), folder
        )
        return folder

    def pickled(self) -> Path:
        """A model whose weights are a pickle."""
        folder = self.raw()
        torch.save(self.weights(folder), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
        return folder

    def foreign(self, files: Mapping[str, str]) -> Path:
        """A folder with given files and contents."""
        folder = self._folder()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return folder

    @staticmethod
    def weights(folder: Path) -> dict[str, torch.Tensor]:
        """The weights of a checkpoint, by name."""
        return load_file(folder / "model.safetensors")

    @staticmethod
    def save_weights(folder: Path, weights: dict[str, torch.Tensor]) -> None:
        """Replace the weights of a checkpoint."""
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    def _folder(self) -> Path:
        folder = self._root / f"checkpoint-{len(list(self._root.glob('checkpoint-*')))}"
        folder.mkdir()
        return folder

    @staticmethod
    def _save(model: Any, folder: Path) -> None:  # noqa: ANN401
        """Save with weights so large that answers differ clearly from one sound to another."""
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name in ("projector", "classifier"):
                if hasattr(model, name):
                    weight = getattr(model, name).weight
                    weight.copy_(torch.randn(weight.shape, generator=generator))
        model.save_pretrained(folder)


def edit_json(path: Path, **changes: Any) -> None:  # noqa: ANN401
    """Change keys of a JSON file; None takes a key out."""
    content = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    kept = {key: value for key, value in content.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")
