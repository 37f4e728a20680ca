"""Figures of merit, from a system's logits and the clips that they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict, cast

import audmetric
import numpy as np
import torch
from scipy.special import log_softmax, softmax  # type: ignore[import-untyped]
from sklearn.metrics import confusion_matrix
from torchmetrics.functional.classification import multiclass_calibration_error

from training.bootstrap import Interval, Resamples
from training.corpora import CORPUS_LABELS, LABELS, allowed_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from training.bootstrap import Rows
    from training.corpora import Clip

BINS: Final = 15
_OUT_OF_REACH: Final = -1e9
_TRIALS: Final = 200


class ClassFigures(TypedDict):
    """How one emotion fares, among the labels of the clips' own corpora."""

    clips: int
    recall: float
    precision: float
    f1: float


class Figures(TypedDict):
    """How good a system is on some clips.

    Names that end in ``_all_labels`` are about a choice among all outputs, as the agent has it, where a clip that
    is taken for no speech is wrong; the others about one among the labels of each clip's own corpus, as published
    figures have it. Calibration is judged on the shares of all emotions. Each figure has its 95 % intervals in
    ``intervals``, under its own name.

    Attributes:
        clips: how many.
        speakers: how many.
        uar: unweighted average recall over the labels that occur.
        accuracy: share of clips that got their label.
        f1: F1, averaged over the labels that occur.
        top3: share of clips whose label is among the best three.
        ece_all_labels: expected calibration error over 15 bins of equal width (Guo et al., 2017), calibrated.
        ece_uncalibrated: the same of the logits as they are.
        ece_by_chance: what it would be on average with so many clips, were the confidences exactly right.
        nll_all_labels: mean negative log-likelihood in nats, calibrated.
        nll_uncalibrated: the same of the logits as they are.
        classes: by emotion.
        confusion: rows are true labels, columns given ones, in the order of ``LABELS``.
        confusion_all_labels: likewise, with further columns for outputs that are no emotions.
    """

    clips: int
    speakers: int
    uar: float
    accuracy: float
    f1: float
    top3: float
    uar_all_labels: float
    accuracy_all_labels: float
    f1_all_labels: float
    top3_all_labels: float
    ece_all_labels: float
    ece_uncalibrated: float
    ece_by_chance: float
    nll_all_labels: float
    nll_uncalibrated: float
    classes: dict[str, ClassFigures]
    confusion: list[list[int]]
    confusion_all_labels: list[list[int]]
    intervals: dict[str, Interval]


def figures(
    logits: NDArray[np.float64],
    clips: Sequence[Clip],
    calibrated: NDArray[np.float64] | None = None,
    resamples: int | None = None,
) -> Figures:
    """Judge a system's answers to clips, of one corpus or of several.

    Args:
        logits: shape ``(clips, 7 or more)``, in the order of ``LABELS``; further columns stand for no emotion.
        clips: what was classified.
        calibrated: the logits after calibration, likewise, if there is any: these are the system's answers.
        resamples: of either bootstrap; ``training.bootstrap.RESAMPLES`` by default.

    Raises:
        ValueError: there are no clips, or another number of logits.
    """
    if len(logits) != len(clips) or not clips:
        raise ValueError(f"{len(logits)} answers to {len(clips)} clips")
    answers = logits if calibrated is None else calibrated
    truth, own = np.array([clip.label for clip in clips]), restricted(answers, clips)
    draws = Resamples(truth, speakers_of(clips), resamples)
    metrics = {
        **_choice_metrics("", truth, own),
        **_choice_metrics("_all_labels", truth, answers),
        **_calibration_metrics("_all_labels", truth, answers[:, : len(LABELS)]),
        **_calibration_metrics("_uncalibrated", truth, logits[:, : len(LABELS)]),
    }
    judged = {name: draws.judge(metric, mirrored=name.startswith("ece")) for name, metric in metrics.items()}
    found = {
        "clips": len(clips),
        "speakers": len(set(speakers_of(clips))),
        **{name: value for name, (value, _) in judged.items()},
        "ece_by_chance": calibration_error_by_chance(softmax(answers[:, : len(LABELS)], axis=1)),
        "classes": class_figures(truth, own.argmax(axis=1)),
        "confusion": _confusion(truth, own),
        "confusion_all_labels": _confusion(truth, answers),
        "intervals": {name: interval for name, (_, interval) in judged.items()},
    }
    return cast("Figures", found)


def restricted(logits: NDArray[np.float64], clips: Sequence[Clip]) -> NDArray[np.float64]:
    """Put what a clip's corpus lacks, and what is no emotion, out of reach.

    Returns:
        Shape ``(clips, 7)``.
    """
    allowed = np.array([allowed_labels(clip.corpus) for clip in clips])
    return np.where(allowed, logits[:, : len(LABELS)], _OUT_OF_REACH)


def speakers_of(clips: Sequence[Clip]) -> list[tuple[str, str]]:
    """Tell each clip's speaker, uniquely over all corpora."""
    return [(clip.corpus, clip.speaker) for clip in clips]


def uar(truth: NDArray[np.int64], given: NDArray[np.int64]) -> float:
    """Unweighted average recall over the labels that occur."""
    recall = audmetric.recall_per_class(truth, given, _every(truth, given))
    return float(np.mean([recall[label] for label in np.unique(truth)]))


def macro_f1(truth: NDArray[np.int64], given: NDArray[np.int64]) -> float:
    """F1, averaged over the labels that occur."""
    f1 = audmetric.fscore_per_class(truth, given, _every(truth, given))
    return float(np.mean([f1[label] for label in np.unique(truth)]))


def mean_uar(logits: NDArray[np.float64], clips: Sequence[Clip]) -> dict[str, float]:
    """Give the unweighted average recall of each corpus that occurs, among its own labels, and their ``mean``."""
    truth = np.array([clip.label for clip in clips])
    given = restricted(logits, clips).argmax(axis=1)
    corpora = np.array([clip.corpus for clip in clips])
    found = {
        name: uar(truth[corpora == name], given[corpora == name]) for name in CORPUS_LABELS if name in corpora
    }
    return found | {"mean": float(np.mean(list(found.values())))}


def in_top(logits: NDArray[np.float64], truth: NDArray[np.int64], count: int = 3) -> NDArray[np.bool_]:
    """Say of each clip whether its label is among the best so many: shape ``(clips,)``."""
    of_truth = np.take_along_axis(logits, truth[:, None], axis=1)
    return np.asarray((logits > of_truth).sum(axis=1) < count)


def surprisal(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Negative log-likelihood of each clip's label, in nats: shape ``(clips,)``."""
    return np.asarray(-np.take_along_axis(log_softmax(logits, axis=1), truth[:, None], axis=1)[:, 0])


def calibration_error(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Average distance of confidence and accuracy over 15 bins of equal width (Guo et al., 2017).

    Args:
        probabilities: shape ``(clips, labels)``.
        truth: shape ``(clips,)``.
    """
    shares, labels = torch.from_numpy(probabilities), torch.from_numpy(truth)
    return float(multiclass_calibration_error(shares, labels, probabilities.shape[1], BINS, validate_args=False))


def calibration_error_by_chance(probabilities: NDArray[np.float64], seed: int = 0) -> float:
    """Average calibration error, were each label drawn from the very probabilities (Bröcker and Smith, 2007).

    It is above zero, and the more so the fewer clips there are: what is measured can't be expected to fall below.
    """
    rng = np.random.default_rng(seed)
    until = probabilities.cumsum(axis=1)
    until[:, -1] = 1.0
    draws = rng.random((_TRIALS, len(probabilities), 1))
    return float(np.mean([calibration_error(probabilities, (draw > until).sum(axis=1)) for draw in draws]))


def class_figures(truth: NDArray[np.int64], given: NDArray[np.int64]) -> dict[str, ClassFigures]:
    """Judge each label that occurs."""
    every = _every(truth, given)
    recall = audmetric.recall_per_class(truth, given, every)
    precision = audmetric.precision_per_class(truth, given, every)
    f1 = audmetric.fscore_per_class(truth, given, every)
    return {
        LABELS[label]: {
            "clips": int(np.sum(truth == label)),
            "recall": recall[label],
            "precision": precision[label],
            "f1": f1[label],
        }
        for label in np.unique(truth)
    }


def _every(truth: NDArray[np.int64], given: NDArray[np.int64]) -> range:
    """All labels that may occur. Clips that got another one audmetric would leave out, not count as wrong."""
    return range(int(max(truth.max(), given.max())) + 1)


def _choice_metrics(
    suffix: str, truth: NDArray[np.int64], answers: NDArray[np.float64]
) -> dict[str, Callable[[Rows], float]]:
    given = answers.argmax(axis=1)
    return {
        f"uar{suffix}": lambda rows: uar(truth[rows], given[rows]),
        f"accuracy{suffix}": _mean_of(given == truth),
        f"f1{suffix}": lambda rows: macro_f1(truth[rows], given[rows]),
        f"top3{suffix}": _mean_of(in_top(answers[:, : len(LABELS)], truth) & (given < len(LABELS))),
    }


def _calibration_metrics(
    suffix: str, truth: NDArray[np.int64], emotions: NDArray[np.float64]
) -> dict[str, Callable[[Rows], float]]:
    probabilities = softmax(emotions, axis=1)
    return {
        f"ece{suffix}": lambda rows: calibration_error(probabilities[rows], truth[rows]),
        f"nll{suffix}": _mean_of(surprisal(emotions, truth)),
    }


def _mean_of(values: NDArray[np.float64] | NDArray[np.bool_]) -> Callable[[Rows], float]:
    return lambda rows: float(values[rows].mean())


def _confusion(truth: NDArray[np.int64], answers: NDArray[np.float64]) -> list[list[int]]:
    counts: list[list[int]] = confusion_matrix(
        truth, answers.argmax(axis=1), labels=range(answers.shape[1])
    ).tolist()
    return counts[: len(LABELS)]
