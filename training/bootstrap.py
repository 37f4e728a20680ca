"""Intervals of figures, from resampled clips and from resampled speakers (Efron, 1979)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Rows: TypeAlias = NDArray[np.int64]

RESAMPLES: Final = 1000
_PERCENT: Final = (2.5, 97.5)


class Interval(TypedDict):
    """Two 95 % intervals of one figure, lower and upper bound each.

    Attributes:
        clips: from clips drawn with replacement within each label: what other clips of the same people would do.
        speakers: from speakers drawn with replacement, each with all of their clips: what other people would do.
            Of few speakers it is too narrow, and where no corpus has two there is none.
    """

    clips: list[float]
    speakers: list[float] | None


class Resamples:
    """Draws clips with replacement, always the same ones, and judges each draw.

    Args:
        labels: of the clips, shape ``(clips,)``; draws of clips have as many of each label as there are.
        speakers: of the clips, by corpus and name; draws of speakers have as many of each corpus as there are.
        count: of draws of either kind; ``RESAMPLES`` by default.
        seed: of the draws.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        speakers: Sequence[tuple[str, str]],
        count: int | None = None,
        seed: int = 0,
    ) -> None:
        count = count or RESAMPLES
        rng = np.random.default_rng(seed)
        self._every: Rows = np.arange(len(labels))
        strata = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        parts = [rng.choice(stratum, size=(count, len(stratum))) for stratum in strata]
        self._by_clips: list[Rows] = list(np.concatenate(parts, axis=1))
        rows_of: dict[str, dict[str, list[int]]] = {}
        for row, (corpus, speaker) in enumerate(speakers):
            rows_of.setdefault(corpus, {}).setdefault(speaker, []).append(row)
        people = [[np.array(rows) for rows in of_corpus.values()] for of_corpus in rows_of.values()]
        self._by_speakers: list[Rows] = []
        if any(len(of_corpus) > 1 for of_corpus in people):
            self._by_speakers = [_drawn(people, rng) for _ in range(count)]

    def judge(self, metric: Callable[[Rows], float], *, mirrored: bool = False) -> tuple[float, Interval]:
        """Compute a figure and its intervals.

        Args:
            metric: the figure of the clips in these rows, some of them several times.
            mirrored: mirror the draws' figures at the figure itself (the "basic" bootstrap), as those need it
                that resampling alone makes larger, such as a calibration error. None is taken to be below 0.
        """
        value = metric(self._every)
        draws = (self._by_clips, self._by_speakers)
        clips, speakers = (
            [max(0.0, 2 * value - bound) for bound in reversed(bounds)] if mirrored and bounds else bounds
            for bounds in (_bounds(metric, rows) for rows in draws)
        )
        return value, {"clips": clips, "speakers": speakers or None}


def _bounds(metric: Callable[[Rows], float], draws: Sequence[Rows]) -> list[float]:
    if not draws:
        return []
    low, high = np.percentile([metric(rows) for rows in draws], _PERCENT)
    return [float(low), float(high)]


def _drawn(people: Sequence[Sequence[Rows]], rng: np.random.Generator) -> Rows:
    """Rows of as many speakers of each corpus as it has, drawn with replacement."""
    return np.concatenate(
        [of_corpus[index] for of_corpus in people for index in rng.integers(len(of_corpus), size=len(of_corpus))]
    )
