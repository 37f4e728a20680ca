"""The one module that imports torch and transformers: a checkpoint, loaded safely, and what it says of sound."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers.utils
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    Wav2Vec2FeatureExtractor,
)
from transformers.utils import import_utils
from transformers.utils import logging as transformers_logging

from ser_agent.audio import SAMPLE_RATE, Samples
from ser_agent.classifiers.batching import batches
from ser_agent.classifiers.failures import first_line, plainly
from ser_agent.classifiers.folder import CONFIG, check_folder, weights_files
from ser_agent.classifiers.heads import DENSE, OUT
from ser_agent.classifiers.inspection import check_config, check_extractor, check_weights
from ser_agent.classifiers.metadata import KEY, read_metadata
from ser_agent.classifiers.naming import model_info, name_labels, own_labels
from ser_agent.classifiers.processor import default_threads
from ser_agent.classifiers.readout import make_readout
from ser_agent.classifiers.sound import filled, shortest_samples, warm_up_noise
from ser_agent.errors import ClassificationError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ser_agent.classifiers.wav2vec2 import Wav2Vec2Options
    from ser_agent.ports import Answer

log = logging.getLogger(__name__)

OPSET = 17

warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask", category=UserWarning)
"""WavLM's own doing, and harmless; it would be written into the terminal's list of events."""

_PADDING_UNHEARD = {"wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat"}
"""Models that hide all padding where they get a mask. In others, such as data2vec-audio, it leaks through
convolutions between the layers."""


class Checkpoint:
    """A loaded model with its feature extractor and its labels' names.

    Attributes:
        info: what it says of itself.
        folder: where its files lie.
    """

    def __init__(self, name: str, where: Path | str, options: Wav2Vec2Options) -> None:
        """Load a checkpoint and warm it up. The network is touched only for a hub id that may be downloaded.

        Args:
            name: how messages call it.
            where: its folder, or its hub id.
            options: the classifier's keys.

        Raises:
            ModelError: it cannot be had, or would silently give wrong answers.
        """
        torch.set_num_threads(options.threads or default_threads())
        folder, revision = _located(where, options)
        check_folder(name, folder)
        self.folder = folder
        with plainly(name):
            config, self._extractor, self._model = _read(name, folder)
            self._device = _device(name, options.device)
            self._dtype = torch.float16 if self._device.type == "cuda" else torch.float32
            self._model.to(self._device, self._dtype).eval()
        own = own_labels(config.id2label)
        metadata = read_metadata(f"model {name}: {folder / CONFIG}", getattr(config, KEY, None), own)
        names = name_labels(name, own, options.labels, keep=options.keep_labels, unheard=metadata.non_speech)
        self._readout = make_readout(name, metadata, own, names, options.prior)
        self._raw = isinstance(self._extractor, Wav2Vec2FeatureExtractor)
        self._input = self._extractor.model_input_names[0]
        asks_for_mask = bool(getattr(self._extractor, "return_attention_mask", False))
        self._masks = asks_for_mask and getattr(config, "feat_extract_norm", None) != "group"
        self._longest = _longest_samples(self._extractor)
        self._shortest = shortest_samples(getattr(config, "conv_kernel", ()), getattr(config, "conv_stride", ()))
        self._may_pad = self._longest is not None or (self._masks and config.model_type in _PADDING_UNHEARD)
        self._max_batch = options.max_batch
        self._name = name
        self.info = model_info(name, metadata, self._readout.names, revision)
        self._warm_up()

    def classify(self, sounds: Sequence[Samples]) -> list[Answer]:
        """Give each sound a distribution over the emotions' names, or ``NON_SPEECH``; neighbours change nothing.

        Args:
            sounds: int16 mono 16 kHz, shape ``(n_i,)`` each; any n_i, though of a sound longer than the model's
                window (30 s for a Whisper) only the start is heard.

        Raises:
            ClassificationError: the model computes no numbers, or there is no memory for it.
        """
        prepared = [self._prepared(sound) for sound in sounds]
        answers: list[Answer] = [{}] * len(sounds)
        for indices in batches([len(sound) for sound in prepared], self._max_batch, may_pad=self._may_pad):
            logits = self._logits([prepared[index] for index in indices])
            for index, answer in zip(indices, self._readout.answers(logits), strict=True):
                answers[index] = answer
        return answers

    def trace(self, path: Path) -> None:
        """Write the model as a graph of ONNX that takes one sound at a time, normalised, of any length.

        Args:
            path: of the file.

        Raises:
            ModelError: the model hears no waveform, or cannot be traced.
        """
        if not self._raw or self._longest is not None:
            raise ModelError(f"model {self._name}: only models that hear the waveform itself can be exported")
        sound = torch.zeros(1, 2 * SAMPLE_RATE, device=self._device, dtype=self._dtype)
        with plainly(self._name), _quiet():
            torch.onnx.export(
                _LogitsAlone(self._model).eval(),  # else the model is left as in training
                (sound,),
                str(path),
                dynamo=False,
                opset_version=OPSET,
                input_names=["input_values"],
                output_names=["logits"],
                dynamic_axes={"input_values": {1: "samples"}},
            )

    def close(self) -> None:
        """Let the model go, and its memory on the GPU."""
        self._model = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _warm_up(self) -> None:
        """Do once what the first call is slow at, and see that numbers come out."""
        try:
            self.classify([warm_up_noise()])
        except ClassificationError as error:
            raise ModelError(f"model {self._name}: a trial with one second of noise failed: {error}") from error

    def _prepared(self, samples: Samples) -> NDArray[np.float32]:
        if self._longest is not None and len(samples) > self._longest:
            log.warning("model %s hears only the first %.0f s", self._name, self._longest / SAMPLE_RATE)
        return filled(samples, self._shortest)

    def _logits(self, sounds: list[NDArray[np.float32]]) -> NDArray[np.float64]:
        """What the model's outputs say, shape ``(sounds, outputs)``."""
        padding = {"padding": True} if self._raw else {}  # the others pad by themselves, as their model needs it
        try:
            inputs = self._extractor(sounds, sampling_rate=SAMPLE_RATE, return_tensors="pt", **padding)
            arguments = {self._input: inputs[self._input].to(self._device, self._dtype)}
            if self._masks:
                arguments["attention_mask"] = inputs["attention_mask"].to(self._device)
            with torch.inference_mode():
                return np.asarray(self._model(**arguments).logits.cpu().double())
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise ClassificationError(
                f"no memory left on {self._device} for {len(sounds)} utterances at a time: lower "
                "`classifier: {max_batch: …}` or take `device: cpu`"
            ) from error
        except (RuntimeError, MemoryError) as error:
            raise ClassificationError(f"the model failed: {first_line(error)}") from error


class _LogitsAlone(torch.nn.Module):
    """A model whose only result are the logits."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401
        super().__init__()
        self._model = model

    def forward(self, sound: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model(sound).logits
        return logits


def _located(where: Path | str, options: Wav2Vec2Options) -> tuple[Path, str | None]:
    """The checkpoint's folder and its revision."""
    if isinstance(where, Path):
        return where, options.revision
    from ser_agent.classifiers.hub import fetch  # noqa: PLC0415 - a folder needs no hub

    folder = fetch(where, options.revision, allow_download=options.allow_download)
    return folder, options.revision or folder.name[:8]


def _read(name: str, folder: Path) -> tuple[Any, Any, Any]:
    """Configuration, feature extractor and model, checked."""
    local = {"local_files_only": True, "trust_remote_code": False}
    with _quiet(), _lean():
        config = AutoConfig.from_pretrained(folder, **local)
        check_config(name, config)
        extractor = AutoFeatureExtractor.from_pretrained(folder, **local)
        check_extractor(name, extractor)
        model, report = AutoModelForAudioClassification.from_pretrained(
            folder,
            **local,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are reported as what is missing is
        )
    if check_weights(name, config, report, model.base_model_prefix):
        _put_head(name, folder, model)
    return config, extractor, model


def _put_head(name: str, folder: Path, model: Any) -> None:  # noqa: ANN401
    """Give a model the head of ``ser_agent.classifiers.heads`` instead of the stock one, which pools alike."""
    tensors: dict[str, torch.Tensor] = {}
    for path in weights_files(name, folder):
        with safe_open(path, framework="pt") as file:
            tensors |= {key: file.get_tensor(key) for key in file.keys() if key.startswith((DENSE, OUT))}  # noqa: SIM118
    width, labels = model.config.hidden_size, model.config.num_labels
    dense, out = torch.nn.Linear(width, width), torch.nn.Linear(width, labels)
    for layer, prefix in ((dense, DENSE), (out, OUT)):
        layer.load_state_dict({part: tensors[f"{prefix}.{part}"] for part in ("weight", "bias")})
    model.projector = torch.nn.Identity()
    model.classifier = torch.nn.Sequential(dense, torch.nn.Tanh(), out)
    log.info("model %s: its head is one of its author's class, and was rebuilt", name)


def _device(name: str, wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(wanted)
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise ModelError(
            f"model {name}: no device {wanted} for it: torch finds {count} GPUs here; take `device: auto`"
        )
    return device


def _longest_samples(extractor: Any) -> int | None:  # noqa: ANN401
    """The window that an extractor cuts or pads every sound to; None where it has none."""
    samples = getattr(extractor, "n_samples", None)  # Whisper
    frames = getattr(extractor, "max_length", None)  # the spectrogram transformer: frames of 10 ms
    if samples is None and frames is not None:
        samples = frames * SAMPLE_RATE // 100
    return int(samples) if samples is not None else None


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars, reports and warnings: what matters of them is checked and told in our own words."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.CRITICAL + 1)
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


@contextmanager
def _lean() -> Iterator[None]:
    """Keep transformers from importing scipy and scikit-learn, which only other tasks need: 0.4 s of CPU."""
    kept = [
        (module, question, getattr(module, question))
        for module in (transformers.utils, import_utils)
        for question in ("is_scipy_available", "is_sklearn_available")
        if hasattr(module, question)
    ]
    for module, question, _ in kept:
        setattr(module, question, lambda: False)
    try:
        yield
    finally:
        for module, question, answer in kept:
            setattr(module, question, answer)
