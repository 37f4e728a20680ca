"""Figures of parts of the ``dev`` clips (speakers, sexes, languages) and of what noise and rooms take away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

import numpy as np

from training.bootstrap import Interval, Resamples
from training.corpora import CORPUS_LABELS, LABELS
from training.figures import restricted, speakers_of, uar
from training.speakers import sexes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.bootstrap import Rows
    from training.corpora import Clip

LANGUAGES: Final = {"crema-d": "English", "ravdess": "English", "nemo": "Polish"}


class GroupFigures(TypedDict):
    """How good a system is on some of the clips, among each clip's corpus's own labels."""

    clips: int
    speakers: int
    uar: float
    accuracy: float
    interval: Interval
    """Of the UAR."""


class SpeakerFigures(TypedDict):
    """How good it is on one speaker; the sex is None where it is not known."""

    speaker: str
    sex: str | None
    clips: int
    uar: float


class Spread(TypedDict):
    """How much speakers differ."""

    lowest: float
    median: float
    highest: float
    deviation: float
    speakers: list[SpeakerFigures]


class Loss(TypedDict):
    """What a disturbance costs: UAR without it, with it, and the difference with its interval."""

    clips: int
    uar_undisturbed: float
    uar: float
    lost: float
    interval: Interval


def group_figures(answers: NDArray[np.float64], clips: Sequence[Clip]) -> GroupFigures:
    """Judge answers to some clips.

    Args:
        answers: calibrated logits, shape ``(clips, outputs)``.
        clips: what was classified.
    """
    truth, given = truth_and_given(answers, clips)
    value, interval = Resamples(truth, speakers_of(clips)).judge(lambda rows: uar(truth[rows], given[rows]))
    return {
        "clips": len(clips),
        "speakers": len(set(speakers_of(clips))),
        "uar": value,
        "accuracy": float(np.mean(truth == given)),
        "interval": interval,
    }


def by_language(answers: NDArray[np.float64], clips: Sequence[Clip]) -> dict[str, GroupFigures]:
    """Judge each language that occurs."""
    languages = [LANGUAGES.get(clip.corpus) for clip in clips]
    return _by(languages, answers, clips)


def by_sex(answers: NDArray[np.float64], clips: Sequence[Clip]) -> dict[str, dict[str, GroupFigures]]:
    """Judge each sex that is known, ``F`` and ``M``, in each corpus and in ``all`` together."""
    corpora = {"all": list(range(len(clips)))}
    for row, clip in enumerate(clips):
        corpora.setdefault(clip.corpus, []).append(row)
    found = {}
    for corpus, rows in corpora.items():
        chosen = [clips[row] for row in rows]
        found[corpus] = _by([sexes().get(key) for key in speakers_of(chosen)], answers[rows], chosen)
    return found


def by_speaker(answers: NDArray[np.float64], clips: Sequence[Clip]) -> dict[str, Spread]:
    """Judge each speaker, and tell how much they differ, in each corpus."""
    truth, given = truth_and_given(answers, clips)
    of_speaker: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(speakers_of(clips)):
        of_speaker.setdefault(key, []).append(row)
    found: dict[str, list[SpeakerFigures]] = {}
    for (corpus, speaker), rows in of_speaker.items():
        found.setdefault(corpus, []).append(
            {
                "speaker": speaker,
                "sex": sexes().get((corpus, speaker)),
                "clips": len(rows),
                "uar": uar(truth[rows], given[rows]),
            }
        )
    return {corpus: _spread(speakers) for corpus, speakers in found.items()}


def losses(
    undisturbed: NDArray[np.float64],
    disturbed: NDArray[np.float64],
    clips: Sequence[Clip],
) -> dict[str, Loss]:
    """Tell what a disturbance costs in each corpus and, as ``mean``, on the average of the corpora.

    Args:
        undisturbed: calibrated logits of the clips without it, shape ``(clips, outputs)``.
        disturbed: with it.
        clips: what was classified, in both cases.
    """
    truth, before = truth_and_given(undisturbed, clips)
    _, after = truth_and_given(disturbed, clips)
    corpora = np.array([list(CORPUS_LABELS).index(clip.corpus) for clip in clips])
    people = speakers_of(clips)

    def mean_uar(given: NDArray[np.int64], rows: Rows) -> float:
        parts = [rows[corpora[rows] == corpus] for corpus in np.unique(corpora[rows])]
        return float(np.mean([uar(truth[part], given[part]) for part in parts]))

    def loss(rows: Rows) -> Loss:
        strata = corpora[rows] * len(LABELS) + truth[rows]
        draws = Resamples(strata, [people[row] for row in rows])
        lost, interval = draws.judge(lambda draw: mean_uar(before, rows[draw]) - mean_uar(after, rows[draw]))
        return {
            "clips": len(rows),
            "uar_undisturbed": mean_uar(before, rows),
            "uar": mean_uar(after, rows),
            "lost": lost,
            "interval": interval,
        }

    parts = {name: np.flatnonzero(corpora == code) for code, name in enumerate(CORPUS_LABELS) if code in corpora}
    return {name: loss(rows) for name, rows in parts.items()} | {"mean": loss(np.arange(len(clips)))}


def truth_and_given(
    answers: NDArray[np.float64], clips: Sequence[Clip]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the clips' labels, and those they got among their own corpus's: shape ``(clips,)`` each."""
    return np.array([clip.label for clip in clips]), restricted(answers, clips).argmax(axis=1)


def _by(
    keys: Sequence[str | None], answers: NDArray[np.float64], clips: Sequence[Clip]
) -> dict[str, GroupFigures]:
    found = {}
    for key in sorted({key for key in keys if key is not None}):
        rows = [row for row, name in enumerate(keys) if name == key]
        found[key] = group_figures(answers[rows], [clips[row] for row in rows])
    return found


def _spread(speakers: list[SpeakerFigures]) -> Spread:
    values = [speaker["uar"] for speaker in speakers]
    return {
        "lowest": min(values),
        "median": float(np.median(values)),
        "highest": max(values),
        "deviation": float(np.std(values)),
        "speakers": speakers,
    }
