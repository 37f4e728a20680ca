"""What the embedded model is to reach, and how the measured figures stand to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Results: TypeAlias = "Mapping[str, Any]"
"""The file of results."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure and, where there is one, its 95 % interval over clips."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One goal.

    Attributes:
        what: the figure, in words.
        must: at least, or at most, this.
        aim: better still.
        is_more_better: whether higher figures are better.
        kind: how it is written.
        find: takes it from the results; raises ``KeyError`` where it was not measured.
    """

    what: str
    must: float
    aim: float
    find: Callable[[Results], Measured]
    is_more_better: bool = True
    kind: Literal["share", "percent", "millions", "megabytes"] = "share"

    def verdict(self, measured: Measured | None) -> str:
        """Say whether it is met."""
        if measured is None:
            return "not measured"
        sign = 1 if self.is_more_better else -1
        if sign * measured.value >= sign * self.aim:
            return "**aim met**"
        return "must met" if sign * measured.value >= sign * self.must else "**missed**"

    def written(self, value: float) -> str:
        """Write a figure of this kind."""
        match self.kind:
            case "percent":
                return f"{100 * value:.3g} %"
            case "millions":
                return f"{value / 1e6:.1f} M"
            case "megabytes":
                return f"{value / 1e6:.1f} MB"
        return f"{value:.3f}"

    def measured(self, results: Results) -> Measured | None:
        """Take the figure from the file of results; None where it is not in it."""
        try:
            return self.find(results)
        except KeyError:
            return None


def _of_figures(name: str, *path: str) -> Callable[[Results], Measured]:
    """One of the ``Figures`` that stand at a path below ``model``."""

    def find(results: Results) -> Measured:
        found = results["model"]
        for key in path:
            found = found[key]
        return Measured(found[name], *found["intervals"][name]["clips"])

    return find


def _abroad(name: str) -> Callable[[Results], Measured]:
    """The mean, over corpora, of a figure of those that were left out of the training."""
    return lambda results: Measured(float(np.mean([left[name] for left in results["leave_one_out"].values()])))


def _lost(condition: str) -> Callable[[Results], Measured]:
    def find(results: Results) -> Measured:
        found = results["model"]["disturbed"][condition]["mean"]
        return Measured(found["lost"], *found["interval"]["clips"])

    return find


def _share(*path: str) -> Callable[[Results], Measured]:
    def find(results: Results) -> Measured:
        found = results["model"]
        for key in path:
            found = found[key]
        return Measured(found["share"], *found["interval"]["clips"])

    return find


def _own_labels(condition: str, words: str) -> tuple[Target, ...]:
    def at(name: str, corpus: str) -> Callable[[Results], Measured]:
        return _of_figures(name, "figures", condition, corpus)

    return (
        Target(f"CREMA-D, 6 classes, {words}: UAR", 0.74, 0.80, at("uar", "crema-d")),
        Target(f"RAVDESS, 7 classes, {words}: UAR", 0.80, 0.87, at("uar", "ravdess")),
        Target(f"nEMO (Polish), 6 classes, {words}: UAR", 0.77, 0.86, at("uar", "nemo")),
        Target(f"CREMA-D, {words}: right one among the top three", 0.93, 0.96, at("top3", "crema-d")),
        Target(f"RAVDESS, {words}: right one among the top three", 0.95, 0.98, at("top3", "ravdess")),
    )


TARGETS: Final = (
    *_own_labels("whole", "whole clips"),
    *_own_labels("trimmed", "as the agent hears them"),
    Target("a corpus never trained on, its own classes: mean UAR", 0.55, 0.66, _abroad("uar")),
    Target(
        "ECE after calibration, all dev clips",
        0.03,
        0.015,
        _of_figures("ece_all_labels", "pooled"),
        is_more_better=False,
    ),
    Target(
        "ECE after calibration, a corpus never trained on: mean",
        0.12,
        0.08,
        _abroad("ece_all_labels"),
        is_more_better=False,
    ),
    Target("UAR lost in household noise at 20 dB", 0.03, 0.01, _lost("noise-20"), is_more_better=False),
    Target("UAR lost in household noise at 10 dB", 0.08, 0.05, _lost("noise-10"), is_more_better=False),
    Target("UAR lost in a real room", 0.06, 0.03, _lost("room"), is_more_better=False),
    Target(
        "household noise without speech that becomes an event, whole pipeline",
        0.05,
        0.01,
        _share("noise", "dev", "with_event"),
        is_more_better=False,
        kind="percent",
    ),
    Target(
        "angry and fearful speech that becomes an event",
        0.99,
        0.999,
        _share("shouts", "with_event"),
        kind="percent",
    ),
    Target(
        "ordinary read speech called anything but neutral, calm or uncertain",
        0.10,
        0.03,
        _share("plain", "home", "emotional"),
        is_more_better=False,
        kind="percent",
    ),
    Target(
        "parameters",
        12e6,
        10e6,
        lambda results: Measured(results["model"]["parameters"]),
        is_more_better=False,
        kind="millions",
    ),
    Target(
        "weights on disk",
        20e6,
        10e6,
        lambda results: Measured(results["model"]["bytes"]),
        is_more_better=False,
        kind="megabytes",
    ),
)
