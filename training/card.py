"""The model card: a text with the figures of the file of results in it, after Hugging Face's template."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

import yaml

from training import tables
from training.corpora import CORPUS_LABELS, LABELS
from training.markdown import table

if TYPE_CHECKING:
    from collections.abc import Mapping

_DATASETS: Final = {
    "crema-d": "CREMA-D, speakers never trained on",
    "ravdess": "RAVDESS speech, speakers never trained on",
    "nemo": "nEMO, speakers never trained on",
}
_METRICS: Final = {
    "uar": ("recall", "unweighted average recall, own labels"),
    "accuracy": ("accuracy", "accuracy, own labels"),
    "f1": ("f1", "macro-F1, own labels"),
}


def model_card(results: Mapping[str, Any]) -> str:
    """Fill the card in.

    Args:
        results: what ``evaluate`` (key ``model``) kept and, where they were run, the trainings under other
            protocols.

    Returns:
        Markdown with the metadata that Hugging Face reads at its head.

    Raises:
        KeyError: ``evaluate`` has not been run.
    """
    model = results["model"]
    figures, reading = model["figures"], model["reading"]
    text = Template((Path(__file__).parent / "card.md").read_text(encoding="utf-8"))
    others = tables.others_text(results)
    return text.substitute(
        metadata=yaml.safe_dump(_metadata(model), sort_keys=False, allow_unicode=True, width=1000).strip(),
        revision=reading["revision"],
        licence=reading["licence"],
        parameters=f"{model['parameters'] / 1e6:.1f} M",
        outputs=_outputs(reading),
        reading=_reading(reading),
        corpora=tables.corpora_table(figures),
        all_labels=tables.all_labels_table(figures),
        languages=tables.languages_table(model["languages"]),
        sexes=tables.sexes_table(model["sexes"]),
        speakers=tables.speakers_table(model["speakers"]),
        calibration=tables.calibration_table(figures["trimmed"], model["pooled"]),
        disturbed=tables.disturbed_table(model["disturbed"]),
        plain=tables.percent(model["plain"]["home"]["emotional"]),
        noise=tables.percent(model["noise"]["dev"]["with_event"]),
        shouts=tables.percent(model["shouts"]["with_event"]),
        others=others,
        confusions="\n\n".join(_confusion(found, corpus) for corpus, found in figures["trimmed"].items()),
    )


def _metadata(model: Mapping[str, Any]) -> dict[str, Any]:
    """What Hugging Face reads: ``model-index`` has the whole clips' figures, as published ones are."""
    return {
        "language": list(model["reading"]["languages"]),
        "license": model["reading"]["licence"].lower(),
        "library_name": "transformers",
        "pipeline_tag": "audio-classification",
        "tags": ["speech-emotion-recognition", "wav2vec2"],
        "metrics": ["recall", "accuracy", "f1"],
        "model-index": [
            {
                "name": "ser-agent embedded",
                "results": [
                    {
                        "task": {"type": "audio-classification", "name": "speech emotion recognition"},
                        "dataset": {"type": corpus, "name": _DATASETS[corpus]},
                        "metrics": [
                            {"type": kind, "name": name, "value": found[key]}
                            for key, (kind, name) in _METRICS.items()
                        ],
                    }
                    for corpus, found in model["figures"]["whole"].items()
                ],
            }
        ],
    }


def _outputs(reading: Mapping[str, Any]) -> str:
    if not reading["non_speech"]:
        return "seven logits out"
    return f"seven logits out, and further ones that mean no speech ({', '.join(reading['non_speech'])})"


def _reading(reading: Mapping[str, Any]) -> str:
    calibration, steps = reading["calibration"], []
    if calibration["temperature"] != 1.0:
        steps.append(f"they are divided by {calibration['temperature']:.2f}")
    if calibration.get("power", 1.0) != 1.0:
        steps.append(f"how far the best emotion stands above their mean is raised to {calibration['power']:.2f}")
    if calibration["bias"]:
        steps.append("a bias is added to each label")
    if reading["prior"]["home"]:
        steps.append("they are corrected to how often each emotion is to be expected in homes")
    if reading["non_speech"]:
        steps.append("what is no speech is dropped")
    if reading["uncertain_below"] is not None:
        steps.append(f"below a confidence of {reading['uncertain_below']:g} the answer is `uncertain`")
    return "; ".join(steps or ["they are taken as they are"]) + "."


def _confusion(figures: Mapping[str, Any], corpus: str) -> str:
    counts = figures["confusion_all_labels"]
    given = [*LABELS, *["no speech"] * (len(counts[0]) - len(LABELS))]
    rows = [
        [f"**{label}**", *map(str, row)]
        for label, row in zip(LABELS, counts, strict=True)
        if label in CORPUS_LABELS[corpus]
    ]
    return table([tables.corpus_name(corpus), *given], rows)
