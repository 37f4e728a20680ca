"""The Markdown tables of the report and of the model card, from the file of results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from training.corpora import CORPUS_LABELS, LABELS
from training.groups import LANGUAGES
from training.markdown import table
from training.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAMES: Final = {"crema-d": "CREMA-D", "ravdess": "RAVDESS", "nemo": "nEMO"}
CONDITIONS: Final = {"trimmed": "as the agent hears them", "whole": "whole"}
DISTURBANCES: Final = {
    "noise-20": "household noise, 20 dB",
    "noise-10": "household noise, 10 dB",
    "noise-5": "household noise, 5 dB",
    "noise-0": "household noise, 0 dB",
    "room": "a real room",
}
_OTHERS: Final = (
    "Other, shorter trainings by the same steps, each from an encoder that has learned from no label. A corpus "
    "that was left out is judged on its `dev` speakers, as the agent hears them; RAVDESS's folds are judged on "
    "whole clips of all its actors, each by a training that heard the other actors. What calibrates them is "
    "the held-out speakers of the other corpora. The front end that all begin with was distilled, without "
    "labels, on the audio of all speakers."
)
_SEXES: Final = {"F": "women", "M": "men"}


def targets_table(results: Mapping[str, Any]) -> str:
    """Write each goal against what was measured."""
    rows = []
    for target in TARGETS:
        found = target.measured(results)
        measured = "–" if found is None else target.written(found.value)
        if found is not None and found.low is not None and found.high is not None:
            measured += f" [{target.written(found.low)}, {target.written(found.high)}]"
        sign = "≥" if target.is_more_better else "≤"
        goals = [f"{sign} {target.written(goal)}" for goal in (target.must, target.aim)]
        rows.append([target.what, *goals, measured, target.verdict(found)])
    return table(["figure", "must", "aim", "measured [95 %]", "verdict"], rows)


def corpora_table(by_condition: Mapping[str, Any]) -> str:
    """Write how well each corpus is heard among its own labels, as published figures have it."""
    rows = [
        [
            corpus_name(corpus, words),
            f"{found['clips']} / {found['speakers']}",
            f"**{interval(found, 'uar')}**",
            _over_speakers(found["intervals"]["uar"]),
            *(interval(found, name) for name in ("accuracy", "f1", "top3")),
        ]
        for corpus, words, found in _each(by_condition)
    ]
    header = ["speakers never heard in training", "clips / speakers", "UAR [95 %, clips]", "[95 %, speakers]"]
    return table([*header, "accuracy", "macro-F1", "top 3"], rows)


def all_labels_table(by_condition: Mapping[str, Any]) -> str:
    """Write how well each corpus is heard among all labels, as the agent has it."""
    rows = [
        [
            corpus_name(corpus, words),
            *(interval(found, f"{name}_all_labels") for name in ("uar", "accuracy", "f1", "top3")),
        ]
        for corpus, words, found in _each(by_condition)
    ]
    return table(["all labels allowed", "UAR [95 %, clips]", "accuracy", "macro-F1", "top 3"], rows)


def calibration_table(by_corpus: Mapping[str, Any], pooled: Mapping[str, Any]) -> str:
    """Write calibration error and surprise, before and after calibration."""
    rows = [
        [
            name,
            f"{found['ece_uncalibrated']:.3f}",
            f"**{interval(found, 'ece_all_labels')}**",
            f"{found['ece_by_chance']:.3f}",
            f"{found['nll_uncalibrated']:.3f}",
            interval(found, "nll_all_labels"),
        ]
        for name, found in (*((corpus_name(key), value) for key, value in by_corpus.items()), ("all", pooled))
    ]
    header = [
        "as the agent hears them",
        "ECE before",
        "ECE [95 %, clips]",
        "… by chance alone",
        "NLL before",
        "NLL",
    ]
    return table(header, rows)


def classes_table(by_corpus: Mapping[str, Any]) -> str:
    """Write each class's recall and precision in each corpus."""
    rows = []
    for label in LABELS:
        cells = []
        for found in by_corpus.values():
            judged = found["classes"].get(label)
            cells.append("–" if judged is None else f"{judged['recall']:.2f} / {judged['precision']:.2f}")
        rows.append([label, *cells])
    return table(["recall / precision", *(corpus_name(corpus) for corpus in by_corpus)], rows)


def sexes_table(by_corpus: Mapping[str, Any]) -> str:
    """Write how well women and men are heard."""
    rows = [
        ["all corpora" if corpus == "all" else corpus_name(corpus), _SEXES[sex], *_group(found)]
        for corpus, by_sex in by_corpus.items()
        for sex, found in by_sex.items()
    ]
    return table(["speakers", "", "clips / speakers", "UAR [95 %, clips]", "[95 %, speakers]", "accuracy"], rows)


def languages_table(languages: Mapping[str, Any]) -> str:
    """Write how well each language is heard."""
    rows = [[language, *_group(found)] for language, found in languages.items()]
    return table(["language", "clips / speakers", "UAR [95 %, clips]", "[95 %, speakers]", "accuracy"], rows)


def speakers_table(speakers: Mapping[str, Any]) -> str:
    """Write how much speakers differ."""
    rows = [
        [
            corpus_name(corpus),
            str(len(spread["speakers"])),
            *(f"{spread[name]:.3f}" for name in ("lowest", "median", "highest", "deviation")),
        ]
        for corpus, spread in speakers.items()
    ]
    return table(["UAR by speaker", "speakers", "lowest", "median", "highest", "standard deviation"], rows)


def disturbed_table(disturbed: Mapping[str, Any]) -> str:
    """Write what noise and rooms cost."""
    rows = []
    for condition, by_corpus in disturbed.items():
        mean = by_corpus["mean"]
        low, high = mean["interval"]["clips"]
        corpora = [f"{by_corpus[corpus]['uar']:.3f}" if corpus in by_corpus else "–" for corpus in NAMES]
        rows.append(
            [
                DISTURBANCES[condition],
                *corpora,
                f"{mean['uar']:.3f}",
                f"{mean['lost']:+.3f} [{low:+.3f}, {high:+.3f}]",
            ]
        )
    undisturbed = next(iter(disturbed.values()))
    before = [
        f"{undisturbed[corpus]['uar_undisturbed']:.3f}" if corpus in undisturbed else "–" for corpus in NAMES
    ]
    rows.insert(0, ["none", *before, f"{undisturbed['mean']['uar_undisturbed']:.3f}", "–"])
    return table(["UAR in", *(corpus_name(corpus) for corpus in NAMES), "mean", "lost [95 %, clips]"], rows)


def others_text(results: Mapping[str, Any]) -> str:
    """Write what other trainings of the same recipe reached under other protocols; empty where there are none."""
    left_out, folds = results.get("leave_one_out", {}), results.get("ravdess_folds")
    rows = [
        [f"{corpus_name(corpus)} left out of the training", *_other(found)] for corpus, found in left_out.items()
    ]
    if folds:
        rows.append(["RAVDESS, folds by actor", *_other(folds)])
    if not rows:
        return ""
    header = ["protocol", "clips / speakers", "UAR [95 %, clips]", "[95 %, speakers]", "accuracy", "top 3", "ECE"]
    trainings = {name: found["training"] for name, found in left_out.items()}
    trainings |= {"folds": folds["training"]} if folds else {}
    words = "\n".join(f"- {name}: {_training(found)}" for name, found in trainings.items())
    return f"{_OTHERS}\n\n{table(header, rows)}\n\nThe budgets:\n\n{words}"


def _training(found: Mapping[str, Any]) -> str:
    layers = f"all layers above the lowest {found['frozen_layers']}" if found["frozen_layers"] else "all layers"
    return (
        f"`{found['experiment']}`, {layers} of `{found['start_from']}`, "
        f"{found['looks']} augmented look(s) at each clip, "
        f"{found['steps']:,} steps of {found['batch_size']} clips for each training, no teachers."
    )


def home_table(home: Mapping[str, Any], rows: Mapping[str, str]) -> str:
    """Write what the prior of homes does to the corpora's clips.

    Args:
        home: figures by prior.
        rows: which priors to show, by their words.
    """
    cells = [
        [
            words,
            f"{found['uar_all_labels']:.3f}",
            f"{100 * found['called_neutral']:.1f} %",
            f"{100 * found['at_threshold']['coverage']:.1f} %",
        ]
        for words, found in ((words, home[prior]) for words, prior in rows.items())
    ]
    return table(["the corpora's clips", "UAR, all labels", "best label neutral", "not `uncertain`"], cells)


def plain_table(plain: Mapping[str, Any], rows: Mapping[str, str]) -> str:
    """Write what ordinary speech is called; the arguments are like those of ``home_table``."""
    cells = []
    for words, found in ((words, plain[prior]) for words, prior in rows.items()):
        called = ", ".join(f"{label} {count}" for label, count in found["called"].items() if count)
        shares = [percent(found[name]) for name in ("emotional", "uncertain", "rejected")]
        cells.append([words, str(found["emotional"]["of"]), *shares, called])
    header = ["ordinary speech", "utterances", "called an emotion", "`uncertain`", "taken for no speech"]
    return table([*header, "called so often"], cells)


def noise_table(noise: Mapping[str, Any]) -> str:
    """Write what becomes of noise."""
    words = {"dev": "classes never trained on", "trained": "classes that may be trained on"}
    rows = [
        [
            words[part],
            str(found["with_event"]["of"]),
            percent(found["with_utterance"]),
            f"**{percent(found['with_event'])}**",
            percent(found["pieces_not_rejected"]),
        ]
        for part, found in noise.items()
    ]
    header = ["noise", "recordings", "hold an utterance for the segmenter", "become an event"]
    return table([*header, "pieces of 5 s that the model alone takes for speech"], rows)


def corpus_name(corpus: str, words: str = "") -> str:
    """Name a corpus with its language and, where there are words for how it is heard, its classes."""
    name = f"{NAMES[corpus]} ({LANGUAGES[corpus]})"
    return f"{name}, {len(CORPUS_LABELS[corpus])} classes, {words}" if words else name


def interval(figures: Mapping[str, Any], name: str) -> str:
    """Write a figure with its interval over clips."""
    low, high = figures["intervals"][name]["clips"]
    return f"{figures[name]:.3f} [{low:.3f}, {high:.3f}]"


def percent(share: Mapping[str, Any]) -> str:
    """Write a ``Share`` with its interval over its members."""
    low, high = share["interval"]["clips"]
    return f"{100 * share['share']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _each(by_condition: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for condition, words in CONDITIONS.items():
        for corpus, found in by_condition[condition].items():
            yield corpus, words, found


def _over_speakers(found: Mapping[str, Any]) -> str:
    return "–" if found["speakers"] is None else "[{:.3f}, {:.3f}]".format(*found["speakers"])


def _group(found: Mapping[str, Any]) -> list[str]:
    low, high = found["interval"]["clips"]
    return [
        f"{found['clips']} / {found['speakers']}",
        f"{found['uar']:.3f} [{low:.3f}, {high:.3f}]",
        _over_speakers(found["interval"]),
        f"{found['accuracy']:.3f}",
    ]


def _other(found: Mapping[str, Any]) -> list[str]:
    return [
        f"{found['clips']} / {found['speakers']}",
        interval(found, "uar"),
        _over_speakers(found["intervals"]["uar"]),
        f"{found['accuracy']:.3f}",
        f"{found['top3']:.3f}",
        f"{found['ece_all_labels']:.3f}",
    ]
