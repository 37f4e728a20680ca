"""The report's pictures: small, and told apart without colour by marker or line as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from training.corpora import CORPUS_LABELS, LABELS
from training.figures import BINS
from training.tables import NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#888888"
_STYLES: Final = {"crema-d": (_BLUE, "o"), "ravdess": (_ORANGE, "s"), "nemo": (_GREEN, "^")}
_SEXES: Final = {"F": (_ORANGE, "o", "women"), "M": (_BLUE, "s", "men"), None: (_GREY, "x", "not known")}
_SETTINGS: Final[dict[Any, Any]] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "savefig.dpi": 110,
}


@mpl.rc_context(_SETTINGS)
def plot_confusions(by_corpus: Mapping[str, Any], target: Path) -> None:
    """Draw what each corpus's clips are called, in percent of each true label, all labels allowed.

    Args:
        by_corpus: ``Figures`` of each corpus.
        target: a PNG file.
    """
    outputs = len(next(iter(by_corpus.values()))["confusion_all_labels"][0])
    given = [*LABELS, *["no speech"] * (outputs - len(LABELS))]
    figure, axes = _figure(len(by_corpus), width=3.1 * len(by_corpus), height=3.1)
    for ax, (corpus, found) in zip(axes, by_corpus.items(), strict=True):
        rows = [label for label in LABELS if label in CORPUS_LABELS[corpus]]
        counts = np.array(found["confusion_all_labels"], dtype=float)[[LABELS.index(label) for label in rows]]
        percent = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        ax.imshow(percent, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        for (row, column), value in np.ndenumerate(percent):
            colour = "white" if value > 55 else "black"
            ax.text(column, row, f"{value:.0f}", ha="center", va="center", color=colour, fontsize=7)
        ax.set_xticks(range(outputs), given, rotation=45, ha="right")
        ax.set_yticks(range(len(rows)), rows)
        ax.set(title=NAMES[corpus], xlabel="given")
    axes[0].set_ylabel("true")
    _save(figure, target)


@mpl.rc_context(_SETTINGS)
def plot_calibration(
    confidences: Mapping[str, NDArray[np.float64]],
    right: Mapping[str, NDArray[np.bool_]],
    selective: Mapping[str, Any],
    target: Path,
) -> None:
    """Draw accuracy against confidence, and risk against coverage.

    Args:
        confidences: of all clips by a name for the legend, shape ``(clips,)`` each.
        right: which answers are right, likewise.
        selective: as ``training.events.Selective`` has it.
        target: a PNG file.
    """
    figure, axes = _figure(2, width=7.0, height=3.0)
    axes[0].plot([0, 1], [0, 1], color=_GREY, linewidth=0.8)
    for (name, values), (colour, marker) in zip(confidences.items(), ((_ORANGE, "s"), (_BLUE, "o")), strict=False):
        bins = np.minimum((values * BINS).astype(int), BINS - 1)
        used = np.unique(bins)
        x = [values[bins == index].mean() for index in used]
        y = [right[name][bins == index].mean() for index in used]
        axes[0].plot(x, y, color=colour, marker=marker, markersize=3, linewidth=1, label=name)
    axes[0].set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1), title="Reliability")
    axes[0].legend()
    curve = np.array(selective["curve"])
    axes[1].plot(curve[:, 0], curve[:, 1], color=_BLUE, marker="o", markersize=3, linewidth=1)
    kept = selective["at_threshold"]
    axes[1].axvline(kept["coverage"], color=_ORANGE, linestyle="--", linewidth=1)
    label = f" kept at confidence {selective['uncertain_below']:g}"
    axes[1].text(kept["coverage"], 0.01, label, rotation=90, va="bottom", ha="right", fontsize=7, color=_ORANGE)
    axes[1].set(xlabel="coverage", ylabel="wrong among those kept", xlim=(0, 1.02), title="Risk and coverage")
    axes[1].set_ylim(bottom=0)
    _save(figure, target)


@mpl.rc_context(_SETTINGS)
def plot_disturbances(disturbed: Mapping[str, Any], target: Path) -> None:
    """Draw UAR in noise and in rooms.

    Args:
        disturbed: ``Loss`` by condition and corpus.
        target: a PNG file.
    """
    figure, axes = _figure(1, width=4.6, height=3.0)
    conditions = list(disturbed)
    words = ["none", *(f"{name.removeprefix('noise-')} dB" if "-" in name else "room" for name in conditions)]
    for corpus, (colour, marker) in _STYLES.items():
        found = [disturbed[name][corpus] for name in conditions if corpus in disturbed[name]]
        if not found:
            continue
        values = np.array([found[0]["uar_undisturbed"], *(loss["uar"] for loss in found)])
        low = [0.0, *(loss["interval"]["clips"][1] - loss["lost"] for loss in found)]
        high = [0.0, *(loss["lost"] - loss["interval"]["clips"][0] for loss in found)]
        errors = np.maximum([low, high], 0.0)
        in_noise = len(conditions)  # the room, drawn apart, is the last one
        style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4, "capsize": 2, "linewidth": 1}
        x = np.arange(len(values)) + {"crema-d": -0.06, "ravdess": 0.0, "nemo": 0.06}[corpus]
        axes[0].errorbar(x[:in_noise], values[:in_noise], errors[:, :in_noise], label=NAMES[corpus], **style)
        axes[0].errorbar(x[in_noise:], values[in_noise:], errors[:, in_noise:], **style | {"linestyle": "none"})
    axes[0].set_xticks(range(len(words)), words)
    axes[0].set(xlabel="household noise, signal-to-noise ratio", ylabel="UAR", ylim=(0, 1.03))
    axes[0].legend(loc="lower left")
    _save(figure, target)


@mpl.rc_context(_SETTINGS)
def plot_speakers(speakers: Mapping[str, Any], target: Path) -> None:
    """Draw each speaker's UAR.

    Args:
        speakers: ``Spread`` by corpus.
        target: a PNG file.
    """
    figure, axes = _figure(1, width=7.0, height=2.6)
    ticks: list[str] = []
    shown: set[str | None] = set()
    for corpus, spread in speakers.items():
        people = sorted(spread["speakers"], key=lambda person: -person["uar"])
        start = len(ticks)
        for offset, person in enumerate(people):
            colour, marker, word = _SEXES[person["sex"]]
            label = word if person["sex"] not in shown else None
            shown.add(person["sex"])
            axes[0].plot(start + offset, person["uar"], marker, color=colour, markersize=4, label=label)
        axes[0].text(start - 0.5, 1.05, NAMES[corpus])
        ticks += [person["speaker"] for person in people] + [""]
    axes[0].set_xticks(range(len(ticks)), ticks, rotation=90, fontsize=6)
    axes[0].set(ylabel="UAR", ylim=(-0.03, 1.03))
    axes[0].tick_params(axis="x", length=0)
    axes[0].legend(loc="lower left", ncols=3)
    _save(figure, target)


def _figure(panels: int, width: float, height: float) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, [figure.add_subplot(1, panels, index + 1) for index in range(panels)]


def _save(figure: Figure, target: Path) -> None:
    # Without matplotlib's version in it, the same figures drawn again are the same file.
    figure.savefig(target, metadata={"Software": None})
