"""A model in ONNX Runtime, which weighs a tenth of torch: the embedded one, its like, or an exported one."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from ser_agent.classifiers.failures import first_line
from ser_agent.classifiers.folder import CONFIG, WEIGHTS
from ser_agent.classifiers.metadata import KEY, read_metadata
from ser_agent.classifiers.naming import model_info, name_labels, own_labels
from ser_agent.classifiers.onnx_folder import GRAPH, describe, embedded_folder, is_exported
from ser_agent.classifiers.onnx_weights import Safetensors, initialisers
from ser_agent.classifiers.processor import default_threads
from ser_agent.classifiers.readout import make_readout
from ser_agent.classifiers.sound import filled, normalised, shortest_samples, warm_up_noise
from ser_agent.errors import ClassificationError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ser_agent.audio import Samples
    from ser_agent.classifiers.wav2vec2 import Wav2Vec2Options
    from ser_agent.ports import Answer

_PROVIDERS = ["CPUExecutionProvider"]
_ERRORS_ONLY = 3


class OnnxModel:
    """A loaded model with its labels' names.

    Attributes:
        info: what it says of itself.
    """

    def __init__(self, name: str, folder: Path, options: Wav2Vec2Options) -> None:
        """Load a model and warm it up.

        Args:
            name: how messages call it.
            folder: of an exported model, or of a checkpoint of the embedded model's shape.
            options: the classifier's keys.

        Raises:
            ModelError: it cannot be had, or would silently give wrong answers.
        """
        self._name = name
        self._threads = options.threads or default_threads()
        config, extractor = describe(name, folder)
        own = own_labels({int(index): label for index, label in config["id2label"].items()})
        metadata = read_metadata(f"model {name}: {folder / CONFIG}", config.get(KEY), own)
        names = name_labels(name, own, options.labels, keep=options.keep_labels, unheard=metadata.non_speech)
        self._readout = make_readout(name, metadata, own, names, options.prior)
        self._shortest = shortest_samples(config.get("conv_kernel", ()), config.get("conv_stride", ()))
        self._normalises = bool(extractor.get("do_normalize", True))
        self._session = self._opened(folder, config, options)
        self._helpers = ThreadPoolExecutor(self._threads, "classifier") if self._threads > 1 else None
        self.info = model_info(name, metadata, self._readout.names, options.revision)
        self._warm_up(len(own))
        _return_memory()

    def classify(self, sounds: Sequence[Samples]) -> list[Answer]:
        """Give each sound a distribution over the emotions' names, or ``NON_SPEECH``.

        Each goes through the model alone, so its neighbours change nothing, and nothing is computed on padding;
        where there are several, as many go at the same time as there are threads.

        Args:
            sounds: int16 mono 16 kHz, shape ``(n_i,)`` each; any n_i.

        Raises:
            ClassificationError: the model computes no numbers, or there is no memory for it.
        """
        if not sounds:
            return []
        run = map if self._helpers is None or len(sounds) == 1 else self._helpers.map
        return self._readout.answers(np.concatenate(list(run(self.logits, sounds))))

    def logits(self, samples: Samples) -> NDArray[np.float64]:
        """What the model's outputs say of one sound, shape ``(1, outputs)``.

        Raises:
            ClassificationError: the model failed.
        """
        sound = filled(samples, self._shortest)
        if self._normalises:
            sound = normalised(sound)
        try:
            (logits,) = self._session.run(["logits"], {"input_values": sound[None]})
        except Exception as error:  # the runtime's errors have no base of their own
            raise ClassificationError(f"the model failed: {first_line(error)}") from error
        return np.asarray(logits, dtype=np.float64)

    def close(self) -> None:
        """Let the model go."""
        if self._helpers is not None:
            self._helpers.shutdown()
        self._session = None

    def _opened(self, folder: Path, config: dict[str, Any], options: Wav2Vec2Options) -> Any:  # noqa: ANN401
        onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = self._threads
        settings.inter_op_num_threads = 1
        settings.enable_cpu_mem_arena = False  # it keeps what the longest utterance ever needed
        # Threads that wait would otherwise spin: in a quiet room that is all they do.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            if is_exported(folder):
                return onnxruntime.InferenceSession(str(folder / GRAPH), settings, providers=_PROVIDERS)
            weights = dict(initialisers(Safetensors(folder / WEIGHTS), config, options.precision))
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(weight) for weight in weights.values()]
            settings.add_external_initializers(list(weights), values)
            graph = embedded_folder() / f"{options.precision}.onnx"
            return onnxruntime.InferenceSession(graph.read_bytes(), settings, providers=_PROVIDERS)
        except KeyError as error:
            raise ModelError(f"model {self._name}: {folder / WEIGHTS} has no weights {error}") from error
        except Exception as error:  # the runtime's errors have no base of their own
            raise ModelError(f"model {self._name}: it cannot be loaded: {first_line(error)}") from error

    def _warm_up(self, outputs: int) -> None:
        """Do once what the first call is slow at, and see that numbers come out."""
        try:
            found = self.logits(warm_up_noise()).shape[1]
            self.classify([warm_up_noise()])
        except ClassificationError as error:
            raise ModelError(f"model {self._name}: a trial with one second of noise failed: {error}") from error
        if found != outputs:
            raise ModelError(f"model {self._name}: it has {found} outputs, and its {CONFIG} names {outputs}")


def _return_memory() -> None:
    """Give back to the system what loading has freed, where the C library can: a tenth of the whole agent."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
