"""The one module that imports torch and transformers: a checkpoint, loaded safely, and what it says of sound."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModelForAudioClassification
from transformers.utils import logging as transformers_logging

from ser_agent.audio import SAMPLE_RATE, Samples, float_from_pcm16
from ser_agent.classifiers.inspection import check_config, check_folder, check_weights, model_info, name_labels
from ser_agent.errors import ClassificationError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from ser_agent.classifiers.wav2vec2 import Wav2Vec2Options

log = logging.getLogger(__name__)

DEFAULT_THREADS = 2
WARM_UP_S = 1.0
SHORTEST_SAMPLES = SAMPLE_RATE // 10
"""Shorter input is filled up with silence: convolutional front ends need some 25 ms at least."""


class Checkpoint:
    """A loaded model with its feature extractor and its labels' names."""

    def __init__(self, name: str, where: Path | str, options: Wav2Vec2Options) -> None:
        """Load a checkpoint and warm it up.

        Args:
            name: how messages call it.
            where: its folder, or its hub id.
            options: the classifier's keys.

        Raises:
            ModelError: it cannot be had, or would silently give wrong answers.
        """
        threads = options.threads or min(DEFAULT_THREADS, os.cpu_count() or 1)
        torch.set_num_threads(threads)
        if isinstance(where, Path):
            check_folder(name, where)
        with _plainly(name, options), _quiet():
            config, self._model, self._extractor = self._read(name, where, options)
        self._device = _device(options.device)
        self._half = self._device.type == "cuda"
        self._model.to(self._device, torch.float16 if self._half else torch.float32).eval()
        self._names = name_labels(name, config.id2label, options.labels, keep=options.keep_labels)
        self._masks = bool(getattr(self._extractor, "return_attention_mask", False))
        self._input = self._extractor.model_input_names[0]
        self._max_batch = options.max_batch
        self.info = model_info(name, config, tuple(dict.fromkeys(self._names)), options.revision)
        self.classify([np.zeros(round(WARM_UP_S * SAMPLE_RATE), dtype=np.int16)])

    @staticmethod
    def _read(name: str, where: Path | str, options: Wav2Vec2Options) -> tuple[Any, Any, Any]:
        common = {
            "revision": options.revision,
            "local_files_only": isinstance(where, Path) or not options.allow_download,
            "trust_remote_code": False,
        }
        config = AutoConfig.from_pretrained(where, **common)
        check_config(name, config)
        extractor = AutoFeatureExtractor.from_pretrained(where, **common)
        rate = getattr(extractor, "sampling_rate", None)
        if rate != SAMPLE_RATE:
            raise ModelError(
                f"model {name}: was trained on sound of {rate} Hz, and the agent hears at {SAMPLE_RATE} Hz"
            )
        model, report = AutoModelForAudioClassification.from_pretrained(
            where,
            **common,
            config=config,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
        check_weights(name, report)
        return config, model, extractor

    def classify(self, sounds: Sequence[Samples]) -> list[Mapping[str, float]]:
        """Give each sound a distribution over the labels' names; its neighbours make no difference.

        Args:
            sounds: int16 mono 16 kHz, shape ``(n_i,)`` each.

        Raises:
            ClassificationError: the model computes no numbers, or has no memory for it.
        """
        answers: list[Mapping[str, float]] = [{}] * len(sounds)
        for indices in self._batches([len(sound) for sound in sounds]):
            probabilities = self._probabilities([_prepared(sounds[index]) for index in indices])
            for index, row in zip(indices, probabilities, strict=True):
                answers[index] = self._named(row)
        return answers

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Sounds of like length together; alone where the model gets no mask: padding would be heard."""
        size = self._max_batch if self._masks else 1
        order = sorted(range(len(lengths)), key=lambda index: lengths[index])
        for start in range(0, len(order), size):
            yield order[start : start + size]

    def _probabilities(self, sounds: list[NDArray[np.float32]]) -> NDArray[np.float64]:
        inputs = self._extractor(sounds, sampling_rate=SAMPLE_RATE, padding=True, return_tensors="pt")
        arguments = {key: value.to(self._device) for key, value in inputs.items() if key != "attention_mask"}
        if self._half:
            arguments[self._input] = arguments[self._input].half()
        if self._masks:
            arguments["attention_mask"] = inputs["attention_mask"].to(self._device)
        try:
            with torch.inference_mode():
                logits = self._model(**arguments).logits.float()
        except torch.OutOfMemoryError as error:
            raise ClassificationError("the GPU has no memory left") from error
        probabilities = torch.softmax(logits.double(), dim=-1).cpu().numpy()
        if not np.isfinite(probabilities).all():
            raise ClassificationError("the model's answer holds values that are no numbers")
        return np.asarray(probabilities)

    def _named(self, row: NDArray[np.float64]) -> Mapping[str, float]:
        """Labels that have the same name are summed."""
        distribution: dict[str, float] = {}
        for name, value in zip(self._names, row, strict=True):
            distribution[name] = distribution.get(name, 0.0) + float(value)
        return distribution


def _prepared(samples: Samples) -> NDArray[np.float32]:
    missing = max(0, SHORTEST_SAMPLES - len(samples))
    return np.pad(float_from_pcm16(samples), (0, missing))


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(f"device {wanted}: torch sees {torch.cuda.device_count()} GPUs here")
    return device


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no reports: what matters of them is checked and told in our own words."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        transformers_logging.enable_progress_bar()


@contextmanager
def _plainly(name: str, options: Wav2Vec2Options) -> Iterator[None]:
    """Turn the libraries' many ways of failing into one message."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # the libraries raise whatever they like on a broken checkpoint
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if "safetensors" in reason and "does not appear to have" in reason:
            reason = "it has no weights in safetensors (pickled ones are refused, since loading them runs code)"
        hint = "" if options.allow_download else "; nothing is downloaded unless `allow_download: true` says so"
        if "/" not in name:
            hint = ""
        raise ModelError(f"model {name}: cannot be loaded: {reason}{hint}") from error
