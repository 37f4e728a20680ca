"""What reaches the home: figures of events, after the agent's segmenter, prior, threshold and rejection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

import numpy as np
from scipy.stats import binomtest  # type: ignore[import-untyped]

from training.answers import confidences, emotions_given, is_rejected
from training.bootstrap import Interval, Resamples
from training.conditions import recording_of
from training.corpora import LABELS
from training.figures import uar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from training.corpora import Clip
    from training.predictions import Predictions

_CURVE: Final = 20
_QUARTER: Final = 0.75


class Share(TypedDict):
    """A part of a whole. The interval's ``speakers`` are what the recordings are grouped by."""

    of: int
    share: float
    interval: Interval


class Kept(TypedDict):
    """What is gained by keeping but the surest answers."""

    coverage: float
    accuracy: float
    uar: float
    accuracy_gained: float
    uar_gained: float


class Selective(TypedDict):
    """Risk and coverage: how often the surest answers are right.

    Attributes:
        uncertain_below: the threshold of the agent.
        at_threshold: what the agent keeps.
        surest_three_quarters: what is kept when the least certain quarter is not.
        risk_coverage_area: the share of wrong answers, averaged over all coverages.
        curve: coverage and the share of wrong answers among those kept.
    """

    uncertain_below: float
    at_threshold: Kept
    surest_three_quarters: Kept
    risk_coverage_area: float
    curve: list[list[float]]


class PlainSpeech(TypedDict):
    """What utterances of ordinary read speech are called.

    Attributes:
        recordings: how many.
        speakers: how many readers.
        emotional: called an emotion, that is, anything but neutral, calm or uncertain, nor taken for no speech.
        emotional_reader: the share of such utterances, averaged over readers: a few read much more than others.
        uncertain: called so.
        rejected: taken for no speech.
        called: how often each emotion is told.
    """

    recordings: int
    speakers: int
    emotional: Share
    emotional_reader: float
    uncertain: Share
    rejected: Share
    called: dict[str, int]


def selective(answers: NDArray[np.float64], clips: Sequence[Clip], uncertain_below: float) -> Selective:
    """Judge what is gained by answering only where the model is sure, choosing among all emotions.

    Args:
        answers: calibrated logits, shape ``(clips, outputs)``.
        clips: what was classified.
        uncertain_below: the agent's threshold.
    """
    truth, given = np.array([clip.label for clip in clips]), answers.argmax(axis=1)
    confidence = confidences(answers)
    surest = np.argsort(-confidence, kind="stable")
    risks = np.cumsum((given != truth)[surest]) / np.arange(1, len(clips) + 1)
    points = np.unique(np.ceil(np.linspace(0, 1, _CURVE + 1)[1:] * len(clips)).astype(int))

    def kept(rows: NDArray[np.int64]) -> Kept:
        if not len(rows):
            return {"coverage": 0.0, "accuracy": 0.0, "uar": 0.0, "accuracy_gained": 0.0, "uar_gained": 0.0}
        accuracy, recall = float(np.mean((given == truth)[rows])), uar(truth[rows], given[rows])
        return {
            "coverage": len(rows) / len(clips),
            "accuracy": accuracy,
            "uar": recall,
            "accuracy_gained": accuracy - float(np.mean(given == truth)),
            "uar_gained": recall - uar(truth, given),
        }

    return {
        "uncertain_below": uncertain_below,
        "at_threshold": kept(np.flatnonzero(confidence >= uncertain_below)),
        "surest_three_quarters": kept(surest[: round(_QUARTER * len(clips))]),
        "risk_coverage_area": float(risks.mean()),
        "curve": [[float(point / len(clips)), float(risks[point - 1])] for point in points],
    }


def plain_speech(
    answers: NDArray[np.float64],
    predictions: Predictions,
    readers: Mapping[str, str],
    uncertain_below: float,
) -> PlainSpeech:
    """Judge the events of ordinary speech.

    Args:
        answers: calibrated logits of its utterances, shape ``(utterances, outputs)``.
        predictions: whose ids say where they are from.
        readers: of the recordings.
        uncertain_below: the agent's threshold.
    """
    recordings = [recording_of(sound) for sound in predictions.ids]
    people = [readers[recording] for recording in recordings]
    rejected = is_rejected(answers)
    uncertain = ~rejected & (confidences(answers) < uncertain_below)
    given = emotions_given(answers)
    emotional = ~rejected & ~uncertain & (given != LABELS.index("neutral"))
    told = given[~rejected & ~uncertain]
    return {
        "recordings": len(set(recordings)),
        "speakers": len(set(people)),
        "emotional": share(emotional, people),
        "emotional_reader": float(np.mean([emotional[np.array(people) == name].mean() for name in set(people)])),
        "uncertain": share(uncertain, people),
        "rejected": share(rejected, people),
        "called": {label: int(np.sum(told == index)) for index, label in enumerate(LABELS)},
    }


def with_event(recordings: Sequence[str], answers: NDArray[np.float64], ids: Sequence[str]) -> NDArray[np.bool_]:
    """Say of each recording whether at least one of its utterances is taken for speech, so becomes an event.

    Args:
        recordings: their names.
        answers: logits of their utterances, shape ``(utterances, outputs)``.
        ids: of the utterances.
    """
    heard = {
        recording_of(sound) for sound, rejected in zip(ids, is_rejected(answers), strict=True) if not rejected
    }
    return np.array([recording in heard for recording in recordings])


def share(values: NDArray[np.bool_], groups: Sequence[str]) -> Share:
    """Count a part of a whole.

    Args:
        values: who belongs to the part, shape ``(n,)``.
        groups: of the members, such as their speakers.

    Returns:
        With Wilson's interval over the members: a bootstrap would be sure of a part of 0.
    """
    count, of = int(values.sum()), len(values)
    draws = Resamples(np.zeros(of, dtype=np.int64), [("", group) for group in groups])
    value, interval = draws.judge(lambda rows: float(values[rows].mean()))
    wilson = binomtest(count, of).proportion_ci(method="wilson")
    return {"of": of, "share": value, "interval": {**interval, "clips": [wilson.low, wilson.high]}}
