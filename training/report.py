"""The report: ``docs/model/report.md`` and its pictures, from the file of results and the kept logits."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from training import tables
from training.answers import confidences, read_config
from training.conditions import dev_clips
from training.judgement import judge_checkpoint
from training.plots import plot_calibration, plot_confusions, plot_disturbances, plot_speakers
from training.predictions import about_checkpoint, load_predictions
from training.results import keep_result, load_results
from training.settings import ROOT
from training.splits import DEV_NOISE_CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from training.settings import Settings

_TEMPLATE = Path(__file__).parent / "report.md"


def report(settings: Settings, name: str | None = None, folder: Path | None = None) -> None:
    """Compute the figures anew from the kept logits, keep them, and write the report.

    Args:
        settings: of the experiment.
        name: of the results, instead of the experiment's.
        folder: for the report; ``docs/model`` by default.

    Raises:
        FileNotFoundError: ``evaluate`` has not been run.
    """
    settings = settings.model_copy(update={"name": name or settings.name})
    target = folder or ROOT / "docs" / "model"
    keep_result(settings, "model", judge_checkpoint(settings))
    results = load_results(settings)
    target.mkdir(parents=True, exist_ok=True)
    (target / "report.md").write_text(report_text(results, settings.name), encoding="utf-8")
    _draw(settings, results["model"], target)
    print(*(f"{path.stat().st_size:>10,} {path}" for path in sorted(target.iterdir())), sep="\n")


def report_text(results: Mapping[str, Any], name: str) -> str:
    """Fill the report in.

    Args:
        results: the file of results.
        name: of that file.
    """
    model = results["model"]
    others = tables.others_text(results)
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        name=name,
        trial=f"**A trial with {model['limit']} recordings of each condition.** " if model["limit"] else "",
        parameters=f"{model['parameters']:,}",
        bytes=f"{model['bytes'] / 1e6:.1f} MB",
        digest=model["digest"],
        targets=tables.targets_table(results),
        corpora=tables.corpora_table(model["figures"]),
        all_labels=tables.all_labels_table(model["figures"]),
        classes=tables.classes_table(model["figures"]["trimmed"]),
        speakers=tables.speakers_table(model["speakers"]),
        sexes=tables.sexes_table(model["sexes"]),
        languages=tables.languages_table(model["languages"]),
        calibration=tables.calibration_table(model["figures"]["trimmed"], model["pooled"]),
        disturbed=tables.disturbed_table(model["disturbed"]),
        disturbed_clips=f"{model['disturbed']['room']['mean']['clips']:,}",
        noise_classes=", ".join(sorted(DEV_NOISE_CLASSES)),
        **_selective(model),
        **_home(model),
        others=f"## Other protocols\n\n{others}" if others else "",
    )


def _selective(model: Mapping[str, Any]) -> dict[str, str]:
    found, pooled = model["selective"], model["pooled"]
    at_threshold, quarter = found["at_threshold"], found["surest_three_quarters"]
    return {
        "uncertain_below": f"{found['uncertain_below']:g}",
        "threshold_coverage": f"{100 * at_threshold['coverage']:.1f} %",
        "threshold_accuracy": f"{100 * at_threshold['accuracy']:.1f} %",
        "threshold_uar": f"{at_threshold['uar']:.3f}",
        "accuracy": f"{100 * pooled['accuracy_all_labels']:.1f} %",
        "uar": f"{pooled['uar_all_labels']:.3f}",
        "quarter_accuracy": f"{100 * quarter['accuracy']:.1f} %",
        "quarter_uar": f"{quarter['uar']:.3f}",
        "area": f"{found['risk_coverage_area']:.3f}",
    }


def _home(model: Mapping[str, Any]) -> dict[str, str]:
    plain, noise, shouts = model["plain"], model["noise"], model["shouts"]
    prior = model["reading"]["prior"]["home"]
    words = "The checkpoint tells no prior of homes, so the agent expects each emotion equally often."
    if prior:
        shares = ", ".join(f"{label} {100 * share / sum(prior.values()):.0f} %" for label, share in prior.items())
        words = (
            f"Unless told otherwise the agent corrects for that: it expects {shares}. What that costs and gains:"
        )
    rows = {"as the agent comes": "home", "each emotion expected equally often": "even"}
    rows = rows if prior else {"each emotion expected equally often": "even"}
    return {
        "prior": words,
        "home": tables.home_table(model["home"], rows),
        "plain": tables.plain_table(plain, rows),
        "plain_recordings": str(plain["home"]["recordings"]),
        "plain_speakers": str(plain["home"]["speakers"]),
        "plain_reader": f"{100 * plain['home']['emotional_reader']:.1f} %",
        "noise": tables.noise_table(noise),
        "shouts_of": f"{shouts['with_event']['of']:,}",
        "shouts_heard": tables.percent(shouts["with_utterance"]),
        "shouts_event": tables.percent(shouts["with_event"]),
    }


def _draw(settings: Settings, model: Mapping[str, Any], target: Path) -> None:
    plot_confusions(model["figures"]["trimmed"], target / "confusions.png")
    plot_speakers(model["speakers"], target / "speakers.png")
    plot_disturbances(model["disturbed"], target / "noise.png")
    kept = load_predictions(settings.predictions_folder, "trimmed")
    reading = read_config(Path(about_checkpoint(settings.predictions_folder)["folder"]))
    label_of = {clip.path: clip.label for clip in dev_clips(settings)}
    truth = np.array([label_of[path] for path in kept.ids])
    answers = {"before calibration": kept.logits, "calibrated": reading.calibrated(kept.logits)}
    plot_calibration(
        {name: confidences(logits) for name, logits in answers.items()},
        {name: logits.argmax(axis=1) == truth for name, logits in answers.items()},
        model["selective"],
        target / "calibration.png",
    )
