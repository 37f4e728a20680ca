"""A labelled recording, and the labels there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from ser_agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Part: TypeAlias = Literal["train", "held", "dev"]

LABELS: Final = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""The emotions, in the order of the model's outputs."""

NON_SPEECH: Final = "noise"
"""What a model that can reject sounds calls those that are no speech."""

MODEL_LABELS: Final = (*LABELS, NON_SPEECH)
"""The outputs of such a model, in their order."""

CORPUS_LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "crema-d": ("angry", "disgust", "fear", "happy", "neutral", "sad"),
    "ravdess": LABELS,
    "nemo": ("angry", "fear", "happy", "neutral", "sad", "surprise"),
}
"""The emotions that each corpus of acted emotion has at all."""


class CorpusError(ConfigError):
    """Recordings or their labels cannot be used: the message names file, line and column."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled recording.

    Attributes:
        path: relative to the folder of the corpora, or absolute where it lies elsewhere.
        corpus: where it is from.
        speaker: unique within the corpus; of noise, its class.
        emotion: one of ``MODEL_LABELS``.
        part: what the speaker is for: ``train``; ``held`` chooses the checkpoint and the temperature; ``dev`` is
            for the final figures alone.
        lang: language code; empty where unknown.
        licence: of the recording; empty where unknown.
        choices: the labels that a loss may set against each other for this clip. Those that its corpus lacks,
            though its people may well have shown them, are left out.
    """

    path: str
    corpus: str
    speaker: str
    emotion: str
    part: Part
    lang: str = ""
    licence: str = ""
    choices: tuple[str, ...] = MODEL_LABELS

    @property
    def label(self) -> int:
        """Index of the emotion in ``MODEL_LABELS``, and so, where it is one, in ``LABELS``."""
        return MODEL_LABELS.index(self.emotion)

    def allowed(self, labels: Sequence[str] = LABELS) -> list[bool]:
        """Say for each of a model's labels whether it is among the clip's choices."""
        return [label in self.choices for label in labels]


def allowed_labels(corpus: str) -> list[bool]:
    """Say for each of ``LABELS`` whether the corpus has it."""
    return [label in CORPUS_LABELS[corpus] for label in LABELS]


def is_non_commercial(licence: str) -> bool:
    """Say whether a licence, such as ``CC-BY-NC-3.0``, excludes commercial use."""
    return "NC" in licence.upper().split("-")
