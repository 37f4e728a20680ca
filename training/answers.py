"""From a checkpoint's logits to the agent's answers: what its ``config.json`` has the agent do with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax  # type: ignore[import-untyped]

from ser_agent.classifiers.metadata import KEY, read_metadata
from ser_agent.classifiers.naming import own_labels
from ser_agent.classifiers.readout import make_readout
from ser_agent.labels import canonical_label
from ser_agent.ports import UNCERTAIN_BELOW
from training.corpora import LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from ser_agent.classifiers.metadata import Metadata
    from ser_agent.classifiers.readout import Readout


@dataclass(frozen=True, slots=True)
class Reading:
    """How the agent reads one checkpoint.

    Attributes:
        outputs: the checkpoint's outputs in the order of ``LABELS``, then those that mean no speech.
        labels: the checkpoint's own names of these.
        metadata: what its author tells.
        uncertain_below: confidence under which the agent says ``uncertain``.
    """

    outputs: tuple[int, ...]
    labels: tuple[str, ...]
    metadata: Metadata
    uncertain_below: float

    def calibrated(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrate, with the prior of the training, which like that of the corpora is an even one.

        Args:
            logits: shape ``(clips, outputs)``, in the order of ``labels``; so is what is returned.
        """
        return self._readout(home=False).scores(logits)

    def at_home(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrate with the prior of homes, as the agent does unless told otherwise, where there is one."""
        return self._readout(home=True).scores(logits)

    def _readout(self, *, home: bool) -> Readout:
        return make_readout("checkpoint", self.metadata, self.labels, self.labels, None if home else "trained")


def read_config(folder: Path) -> Reading:
    """Read a checkpoint's labels and what its author tells.

    Raises:
        FileNotFoundError: there is no checkpoint.
        ValueError: its labels are not the emotions of ``LABELS`` and such that ``ser_agent.non_speech`` names.
        ModelError: what its author tells is wrong.
    """
    where = str(folder / "config.json")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    own = own_labels({int(index): label for index, label in config["id2label"].items()})
    metadata = read_metadata(where, config.get(KEY), own)
    spoken = {canonical_label(label): own.index(label) for label in metadata.spoken(own)}
    if set(spoken) != set(LABELS):
        raise ValueError(
            f"{where}: its labels are {', '.join(own)}; but for those that {KEY}.non_speech names they should be "
            + ", ".join(LABELS)
        )
    outputs = [spoken[canonical_label(label)] for label in LABELS]
    outputs += [index for index, label in enumerate(own) if label in metadata.non_speech]
    below = UNCERTAIN_BELOW if metadata.uncertain_below is None else metadata.uncertain_below
    return Reading(tuple(outputs), tuple(own[index] for index in outputs), metadata, below)


def is_rejected(answers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say of each clip whether it is taken for no speech, so that the agent makes no event: shape ``(clips,)``."""
    return np.asarray(answers.argmax(axis=1) >= len(LABELS))


def confidences(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each clip's best share among the emotions, which is what an event tells: shape ``(clips,)``."""
    return np.asarray(softmax(answers[:, : len(LABELS)], axis=1).max(axis=1))


def emotions_given(answers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give each clip's best emotion, as an index into ``LABELS``: shape ``(clips,)``."""
    return np.asarray(answers[:, : len(LABELS)].argmax(axis=1))
