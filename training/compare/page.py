"""The page: a text with the tables of the file of results in it."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

from training.compare.confusions import PAIRS
from training.markdown import table
from training.results import load_results

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from training.compare.settings import CompareSettings

NAMES: Final[Mapping[str, str]] = {
    "svm": "SVM on MFCC statistics",
    "cnn": "CNN on log-mels",
    "lstm": "LSTM on log-mels",
    "wav2vec2": "Wav2Vec2 from scratch",
    "ours": "ours: the embedded model",
}
_CORPORA: Final = {"crema-d": "CREMA-D (6)", "ravdess": "RAVDESS (7)", "nemo": "nEMO (6)"}
_NONE: Final = "–"
_ENDINGS: Final = {
    "minutes": "its minutes were used up",
    "steps": "its steps were used up",
    "patience": "the held-out speakers' recall had ceased to rise",
}


def write_page(settings: CompareSettings) -> None:
    """Write what the file of results holds, complete or not."""
    settings.page_file.parent.mkdir(parents=True, exist_ok=True)
    settings.page_file.write_text(page(load_results(settings.experiment)), encoding="utf-8")


def page(results: Mapping[str, Any]) -> str:
    """Make the page.

    Args:
        results: ``settings`` and at least one system's record by its name, as the command keeps them.

    Returns:
        Markdown.
    """
    records = {name: results[name] for name in NAMES if name in results}
    text = Template((Path(__file__).parent / "page.md").read_text(encoding="utf-8"))
    pooled = next(iter(records.values()))["pooled"]
    return text.substitute(
        clips=f"{pooled['clips']:,}",
        speakers=pooled["speakers"],
        figures=_figures(records),
        confusions=_confusions(records),
        trainings="\n".join(_trainings(records)),
        warning=_warning(records),
        minutes=_minutes(results["settings"]),
        repeats=results["settings"]["repeats"],
        seed=results["settings"]["seed"],
        smoothing=results["settings"]["label_smoothing"],
    )


def _figures(records: Mapping[str, Mapping[str, Any]]) -> str:
    header = ["system", "accuracy", "UAR [95 %]", "UAR of all 7 labels", *_CORPORA.values()]
    header += ["parameters", "CPU, 3 s", "times faster than wav2vec2-base"]
    return table(header, [[NAMES[name], *_figures_of(record)] for name, record in records.items()])


def _figures_of(record: Mapping[str, Any]) -> list[str]:
    pooled, speed = record["pooled"], record["speed"]
    return [
        f"{pooled['accuracy']:.3f}",
        f"**{pooled['uar']:.3f}**{_interval(pooled['intervals']['uar']['speakers'])}",
        f"{pooled['uar_all_labels']:.3f}",
        *(_uar(record["corpora"].get(corpus)) for corpus in _CORPORA),
        f"{record['parameters'] / 1e6:.2f} M",
        f"{speed['cpu_ms']:.0f} ms" if speed["cpu_ms"] >= 10 else f"{speed['cpu_ms']:.1f} ms",
        f"{speed['times_faster']:.0f}×",
    ]


def _interval(bounds: Sequence[float] | None) -> str:
    """A figure's interval, where there were speakers enough to tell one."""
    return f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else ""


def _uar(figures: Mapping[str, Any] | None) -> str:
    return f"{figures['uar']:.3f}" if figures else _NONE


def _confusions(records: Mapping[str, Mapping[str, Any]]) -> str:
    counts = [found["clips"] for found in next(iter(records.values()))["confusions"]]
    heads = [f"{one} → {other} ({count} clips)" for (one, other), count in zip(PAIRS, counts, strict=True)]
    rows = [[NAMES[name], *map(_confusion, record["confusions"])] for name, record in records.items()]
    return table(["system", *heads], rows)


def _confusion(found: Mapping[str, Any]) -> str:
    if not found["clips"]:
        return _NONE
    share = f"{found['confused'] / found['clips']:.0%}".replace("%", " %")
    if found["commonest"] in {None, found["taken_for"]}:
        return f"**{share}**" if found["confused"] else share
    return f"{share} ({found['commonest']})"


def _trainings(records: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, record in records.items():
        training = record["training"]
        if "minutes" in training:
            yield (
                f"- **{NAMES[name]}**: {training['minutes']:.1f} minutes on one core, {training['steps']:,} steps,"
                f" each clip heard {training['epochs']:.1f} times on average, until {_ENDINGS[training['ended']]}."
                f" The state after {training['best_step']:,} steps was kept: UAR {training['held_uar']:.3f} on the"
                " held-out speakers."
            )
        elif "cost" in training:
            yield (
                f"- **{NAMES[name]}**: cost {training['cost']:g}, chosen by the held-out speakers: UAR"
                f" {training['held_uar']:.3f}."
            )


def _minutes(settings: Mapping[str, Any]) -> str:
    """How long the nets were trained at most, such as ``4`` or ``3 to 5``."""
    budgets = sorted({settings[name]["minutes"] for name in ("cnn", "lstm", "wav2vec2")})
    return " to ".join(f"{minutes:g}" for minutes in (budgets[0], budgets[-1])[: len(budgets)])


def _warning(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Say so where figures of other clips stand beside each other."""
    latest = list(records.values())[-1]["material"]
    others = [NAMES[name] for name, record in records.items() if record["material"] != latest]
    if not others:
        return ""
    return f"\n**Not comparable yet**: {', '.join(others)} heard the clips cut or divided otherwise.\n"
