"""The model card: a text with the figures of the file of results in it."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

from training.corpora import CORPUS_LABELS, LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAMES: Final = {"crema-d": "CREMA-D (English)", "ravdess": "RAVDESS (English)", "nemo": "nEMO (Polish)"}
_CONDITIONS: Final = {"trimmed": "as the agent hears them", "whole": "whole"}


def model_card(results: Mapping[str, Any]) -> str:
    """Fill the card in.

    Args:
        results: what ``evaluate`` (keys ``settings``, ``model``) and ``baseline`` (key ``baseline``) kept.

    Returns:
        Markdown with the metadata that Hugging Face reads at its head.

    Raises:
        KeyError: one of the two has not been run.
    """
    model, baseline = results["model"], results["baseline"]
    text = Template((Path(__file__).parent / "card.md").read_text(encoding="utf-8"))
    goal = results["settings"]["finetune"]
    return text.substitute(
        figures="\n".join(_figures(model["figures"], baseline["figures"])),
        confusions="\n\n".join(
            _confusion(model["figures"]["trimmed"][corpus], corpus) for corpus in CORPUS_LABELS
        ),
        parameters=f"{model['parameters'] / 1e6:.1f} M",
        temperature=f"{model['temperature']:.2f}",
        learning_rate=f"{goal['learning_rate']:.0e}",
        head_learning_rate=f"{goal['head_learning_rate']:.0e}",
        batch_size=goal["batch_size"],
        minutes=f"{goal['minutes']:.0f}",
    )


def _figures(model: Mapping[str, Any], baseline: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "| speakers never heard in training | clips | UAR [95 %] | MFCC + SVM, UAR [95 %] | accuracy | top 3 |"
        " UAR of all 7 labels | top 3 of all 7 | ECE |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for condition, words in _CONDITIONS.items():
        for corpus, name in _NAMES.items():
            ours = model[condition][corpus]
            yield (
                f"| {name}, {len(CORPUS_LABELS[corpus])} classes, {words} | {ours['clips']} | **{_uar(ours)}** |"
                f" {_uar(baseline[condition][corpus])} | {ours['accuracy']:.3f} | {ours['top3']:.3f} |"
                f" {ours['uar_all_labels']:.3f} | {ours['top3_all_labels']:.3f} | {ours['ece_all_labels']:.3f} |"
            )


def _uar(figures: Mapping[str, Any]) -> str:
    return f"{figures['uar']:.3f} [{figures['uar_low']:.3f}, {figures['uar_high']:.3f}]"


def _confusion(figures: Mapping[str, Any], corpus: str) -> str:
    rows = [f"| {_NAMES[corpus]} | " + " | ".join(LABELS) + " |", "| --- " * (len(LABELS) + 1) + "|"]
    for label, counts in zip(LABELS, figures["confusion_all_labels"], strict=True):
        if label in CORPUS_LABELS[corpus]:
            rows.append(f"| **{label}** | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(rows)
