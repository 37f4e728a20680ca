"""The classifier: any Hugging Face audio-classification checkpoint, the embedded one by default.

Two engines: ONNX Runtime, which everybody has, and torch, an extra that takes every checkpoint and a GPU.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from ser_agent.classifiers.onnx_folder import embedded_folder, has_embedded_shape, is_exported
from ser_agent.classifiers.onnx_precision import Precision  # noqa: TC001 - pydantic reads it
from ser_agent.errors import ClassificationError, MissingExtraError, ModelError
from ser_agent.options import ClassifierOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import ValidatorFunctionWrapHandler

    from ser_agent.audio import Utterance
    from ser_agent.classifiers.checkpoint import Checkpoint
    from ser_agent.classifiers.onnx_model import OnnxModel
    from ser_agent.ports import Answer, ModelInfo, PluginContext

EMBEDDED = "embedded"

_Proportion = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class Wav2Vec2Options(ClassifierOptions):
    """Keys of the wav2vec2 classifier."""

    type: Literal["wav2vec2"] = "wav2vec2"
    model: str = Field(default=EMBEDDED, min_length=1)
    """`embedded`, a folder with a checkpoint, or a hub id such as `superb/wav2vec2-base-superb-er`."""
    revision: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)*$")
    """Of a hub id: branch, tag or commit."""
    allow_download: bool = False
    """Download a hub id that is not in the cache; otherwise nothing is ever loaded from the network."""
    engine: Literal["auto", "onnx", "torch"] = "auto"
    """What computes. `onnx`: ONNX Runtime, for the embedded model, models trained like it and those that
    `ser-agent export` has made; `torch`, an extra: every checkpoint, and a GPU. `auto`: `onnx` where it can."""
    precision: Precision = "int8"
    """Of the engine `onnx`: `int8` is 1.7 times as fast, and its confidences differ by a percent or so. An
    exported model has the precision that it was exported with."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """`auto`, `cpu`, `cuda` or `cuda:1`; a GPU, which needs `torch`, computes in half precision."""
    threads: int | None = Field(default=None, ge=1, le=256)
    """Processor threads; `null`: half of the cores, at most two; all for `ser-agent classify`."""
    max_batch: int = Field(default=8, ge=1, le=256)
    """Utterances that `torch` classifies at a time at most."""
    labels: dict[str, Annotated[str, Field(min_length=1)]] | None = None
    """Names for the model's labels: from its label or index to a word of the vocabulary, or one of your own.
    Labels that get the same name are summed."""
    keep_labels: bool = False
    """Keep the model's own labels instead of the vocabulary's."""
    prior: Literal["trained", "home"] | dict[str, _Proportion] | None = None
    """How often each emotion is expected. `trained`: as in what the model learnt from, which corrects nothing;
    `home`: as its author expects it in homes; or a proportion above 0 for each of the model's own labels of speech
    (they need not sum to 1). `null`: `home` where the model tells one, else `trained`."""

    @field_validator("prior", mode="wrap")
    @classmethod
    def _one_mistake(cls, value: object, handler: ValidatorFunctionWrapHandler) -> object:
        """Tell one mistake rather than one for each type that a prior may have."""
        try:
            return handler(value)
        except ValidationError as error:
            raise ValueError("expected `trained`, `home`, or a number above 0 for each label") from error


class Wav2Vec2Classifier:
    """A Hugging Face audio-classification checkpoint, through ONNX Runtime or torch and transformers."""

    Options = Wav2Vec2Options

    def __init__(self, options: Wav2Vec2Options, context: PluginContext) -> None:
        self._options = options
        self._base_dir = context.base_dir
        self._model: Checkpoint | OnnxModel | None = None

    def load(self) -> ModelInfo:
        """Load the model and warm it up; a second call does nothing.

        Raises:
            ModelError: the model cannot be had or would silently give wrong answers.
            MissingExtraError: it needs torch or transformers, which is not installed.
        """
        if self._model is None:
            with _without_garbage_collection():
                self._model = self._loaded()
        return self._model.info

    def classify(self, utterances: Sequence[Utterance]) -> Sequence[Answer]:
        """Give each utterance a distribution over the labels, or ``NON_SPEECH`` where the model hears no voice.

        Raises:
            ClassificationError: the model is not loaded, or computes no numbers.
        """
        if self._model is None:
            raise ClassificationError("the model is not loaded")
        return self._model.classify([utterance.samples for utterance in utterances])

    def export(self, target: Path, precision: Precision) -> None:
        """Write the model as a folder for the engine `onnx`.

        Args:
            target: the folder; is made where it is missing.
            precision: of the matrices.

        Raises:
            ModelError: the model cannot be had, or cannot be exported.
            MissingExtraError: torch, transformers or onnx is not installed.
        """
        name, where = self._locate()
        self._model = checkpoint = self._in_torch(name, where)
        try:
            from ser_agent.classifiers.onnx_export import write_folder  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise MissingExtraError("exporting a model", "torch", error.name or "onnx") from error
        write_folder(checkpoint, target, precision)

    def close(self) -> None:
        """Let the model go."""
        if self._model is not None:
            self._model.close()
            self._model = None

    def _loaded(self) -> Checkpoint | OnnxModel:
        name, where = self._locate()
        return self._in_onnx(name, where) if self._takes_onnx(where) else self._in_torch(name, where)

    def _takes_onnx(self, where: Path | str) -> bool:
        if self._options.engine != "auto":
            return self._options.engine == "onnx"
        on_gpu = self._options.device.startswith("cuda")
        return not on_gpu and isinstance(where, Path) and (is_exported(where) or has_embedded_shape(where))

    def _in_onnx(self, name: str, where: Path | str) -> OnnxModel:
        if isinstance(where, str):
            raise ModelError(
                f"model {name}: the engine `onnx` takes no hub id: take the engine `torch`, or make a folder "
                f"of it: `ser-agent export {name} FOLDER`"
            )
        try:
            from ser_agent.classifiers.onnx_model import OnnxModel  # noqa: PLC0415 - a quarter of a second
        except ImportError as error:
            raise ModelError(f"model {name}: ONNX Runtime cannot be imported here: {error}") from error
        return OnnxModel(name, where, self._options)

    def _in_torch(self, name: str, where: Path | str) -> Checkpoint:
        try:
            from ser_agent.classifiers.checkpoint import Checkpoint  # noqa: PLC0415 - seconds, and an extra
        except ImportError as error:
            missing = error.name or "torch"
            if missing.startswith("ser_agent"):
                raise
            raise MissingExtraError(f"the model {name}", "torch", missing) from error
        return Checkpoint(name, where, self._options)

    def _locate(self) -> tuple[str, Path | str]:
        """The model's name, and its folder or hub id."""
        model = self._options.model
        if model == EMBEDDED:
            return EMBEDDED, embedded_folder()
        folder = self._base_dir / Path(model).expanduser()
        if folder.exists() or model.startswith((".", "/", "~")) or model.count("/") != 1:
            return folder.name, folder
        return model, model


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Look for no garbage meanwhile: the million objects that importing torch and transformers makes all stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
