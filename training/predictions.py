"""A checkpoint's logits of every condition, kept on disk: figures can be changed without classifying again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

from ser_agent.audio import SAMPLE_RATE
from training.answers import read_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.cache import Floats
    from training.conditions import Condition

_BATCH = 16
_SORTED_TOGETHER = 16 * _BATCH
_CHECKPOINT = "checkpoint.json"


@dataclass(frozen=True, slots=True)
class Predictions:
    """Logits of one condition.

    Attributes:
        ids: of the sounds, as ``Condition`` has them.
        logits: shape ``(sounds, outputs)``, in the order of ``Reading.labels``.
        recordings: likewise as ``Condition`` has them.
    """

    ids: tuple[str, ...]
    logits: NDArray[np.float64]
    recordings: tuple[str, ...]


def predict(model_folder: Path, conditions: Iterable[Condition], target: Path, limit: int | None = None) -> None:
    """Classify the sounds of all conditions that are not there yet.

    Args:
        model_folder: a checkpoint that plain ``from_pretrained`` loads.
        conditions: what to classify.
        target: a folder, made where it is missing, for one file a condition. Those of another checkpoint, or of
            other sounds, are made anew.
        limit: is noted beside them, when this is but a trial.
    """
    checkpoint = Checkpoint(model_folder)
    about = target / _CHECKPOINT
    if about.exists() and json.loads(about.read_text(encoding="utf-8"))["digest"] != checkpoint.about["digest"]:
        for path in target.glob("*.npz"):
            path.unlink()
    target.mkdir(parents=True, exist_ok=True)
    about.write_text(json.dumps(checkpoint.about | {"limit": limit}, indent=1) + "\n", encoding="utf-8")
    for condition in conditions:
        path = target / f"{condition.name}.npz"
        kept = {
            "ids": np.array(condition.ids, dtype=np.str_),
            "recordings": np.array(condition.recordings, dtype=np.str_),
            "fingerprint": np.array(condition.fingerprint()),
        }
        if path.exists() and _fingerprint(path) == kept["fingerprint"]:
            continue
        logits = checkpoint.logits(condition)
        unfinished = path.with_suffix(".tmp")
        with unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, logits=logits, **kept)
        unfinished.replace(path)


def load_predictions(folder: Path, condition: str) -> Predictions:
    """Read what was kept of one condition.

    Raises:
        FileNotFoundError: it was not classified yet.
    """
    path = folder / f"{condition}.npz"
    if not path.exists():
        raise FileNotFoundError(f"{path}: run `python -m training evaluate` first")
    with np.load(path) as kept:
        logits = kept["logits"].astype(np.float64)
        return Predictions(tuple(kept["ids"].tolist()), logits, tuple(kept["recordings"].tolist()))


def about_checkpoint(folder: Path) -> dict[str, Any]:
    """Read what was kept about the checkpoint: ``folder``, ``digest``, ``parameters``, ``bytes`` and ``limit``.

    Raises:
        FileNotFoundError: nothing was classified yet.
    """
    path = folder / _CHECKPOINT
    if not path.exists():
        raise FileNotFoundError(f"{path}: run `python -m training evaluate` first")
    about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return about


def digest_of(folder: Path) -> str:
    """Tell a checkpoint's weights apart from others."""
    return hashlib.sha256(_weights(folder).read_bytes()).hexdigest()


class Checkpoint:
    """A checkpoint as plain transformers has it.

    Args:
        folder: of it.

    Raises:
        ValueError: weights are missing from it or superfluous in it.

    Attributes:
        about: as ``about_checkpoint`` gives it, but for the limit.
    """

    def __init__(self, folder: Path) -> None:
        self._outputs = list(read_config(folder).outputs)
        self._extractor: Any = AutoFeatureExtractor.from_pretrained(folder)
        self._model: Any
        self._model, report = AutoModelForAudioClassification.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
        if wrong := {name: keys for name, keys in report.items() if keys}:
            raise ValueError(f"{folder}: the weights are not the model's: {wrong}")
        self._model.eval()
        self.about = {
            "folder": str(folder),
            "digest": digest_of(folder),
            "parameters": sum(value.numel() for value in self._model.parameters()),
            "bytes": _weights(folder).stat().st_size,
        }

    def logits(self, condition: Condition) -> NDArray[np.float32]:
        """Classify all sounds of a condition, those of like length together; shows its progress.

        Returns:
            Shape ``(sounds, outputs)``, in the order of ``Reading.labels``.
        """
        logits = np.empty((len(condition.ids), len(self._outputs)), dtype=np.float32)
        columns = (TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns) as progress:
            task = progress.add_task(condition.name, total=len(condition.ids))
            for first in range(0, len(condition.ids), _SORTED_TOGETHER):
                rows = range(first, min(first + _SORTED_TOGETHER, len(condition.ids)))
                sounds = {row: condition.sound(row) for row in rows}
                in_order = sorted(rows, key=lambda row: len(sounds[row]))
                for start in range(0, len(in_order), _BATCH):
                    batch = in_order[start : start + _BATCH]
                    logits[batch] = self._classify([sounds[row] for row in batch])
                    progress.advance(task, len(batch))
        return logits

    def _classify(self, sounds: Sequence[Floats]) -> NDArray[np.float32]:
        inputs = self._extractor(sounds, sampling_rate=SAMPLE_RATE, padding=True, return_tensors="pt")
        with torch.inference_mode():
            answer = self._model(**inputs).logits.float().numpy()
        return np.asarray(answer[:, self._outputs])


def _weights(folder: Path) -> Path:
    return folder / "model.safetensors"


def _fingerprint(path: Path) -> str:
    with np.load(path) as kept:
        return str(kept["fingerprint"])
