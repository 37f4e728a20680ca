"""From logits to events and their figures, on answers made by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

for module in ("torch", "audmetric", "torchmetrics"):
    pytest.importorskip(module)

from training.answers import confidences, emotions_given, is_rejected, read_config  # noqa: E402 - after the skips
from training.corpora import LABELS, Clip  # noqa: E402
from training.events import plain_speech, selective, share, with_event  # noqa: E402
from training.groups import by_language, by_sex, by_speaker, losses  # noqa: E402
from training.predictions import Predictions  # noqa: E402
from training.targets import TARGETS, Measured, Target  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NEUTRAL, ANGRY, NOISE = LABELS.index("neutral"), LABELS.index("angry"), len(LABELS)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.bootstrap.RESAMPLES", 100)


def config(folder: Path, labels: tuple[str, ...], **told: Any) -> Path:  # noqa: ANN401
    content = {"id2label": dict(enumerate(labels)), "ser_agent": told}
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def answers(*best: int, margin: float = 3.0) -> NDArray[np.float64]:
    logits = np.zeros((len(best), NOISE + 1))
    logits[np.arange(len(best)), best] = margin
    return logits


def clips(*emotions: str, corpus: str = "crema-d", speaker: str = "1001") -> list[Clip]:
    return [Clip(f"{corpus}/{row}", corpus, speaker, emotion, "dev") for row, emotion in enumerate(emotions)]


def test_what_the_author_tells_is_done_to_the_logits(tmp_path: Path) -> None:
    home = {label: 3.0 if label == "neutral" else 0.5 for label in LABELS}
    told = {
        "calibration": {"temperature": 2.0, "bias": {"sad": 0.5}},
        "prior": {"home": home},
        "non_speech": ["x"],
    }
    reading = read_config(config(tmp_path, (*LABELS, "x"), **told))
    logits = np.ones((1, NOISE + 1))
    even = reading.calibrated(logits)[0]
    assert even.tolist() == [0.5 + 0.5 * (label == "sad") for label in (*LABELS, "x")]
    shift = reading.at_home(logits)[0] - even
    # Neutral is expected in 3 of 6 cases rather than in 1 of 7, each other emotion in 1 of 12.
    assert shift[NEUTRAL] == pytest.approx(np.log(7 / 2))
    assert shift[ANGRY] == pytest.approx(np.log(7 / 12))
    assert shift[NOISE] == 0.0


def test_a_checkpoint_that_tells_nothing_is_read_as_it_is(tmp_path: Path) -> None:
    reading = read_config(config(tmp_path, LABELS))
    np.testing.assert_array_equal(reading.at_home(answers(2)[:, :7]), answers(2)[:, :7])
    assert reading.uncertain_below == 0.4


def test_noise_is_rejected_and_confidence_is_shared_among_the_emotions() -> None:
    given = answers(ANGRY, NOISE)
    assert is_rejected(given).tolist() == [False, True]
    assert emotions_given(given)[0] == ANGRY
    assert confidences(given)[0] == pytest.approx(np.exp(3) / (np.exp(3) + 6))
    assert confidences(given)[1] == pytest.approx(1 / 7)


def test_plain_speech_is_emotional_unless_it_is_neutral_uncertain_or_rejected() -> None:
    given = np.concatenate([answers(ANGRY, NEUTRAL, NOISE), answers(ANGRY, margin=0.1)])
    kept = Predictions(("a@0-1", "a@5-9", "b@0-1", "b@2-3"), given, ("a", "b"))
    found = plain_speech(given, kept, {"a": "26", "b": "61"}, uncertain_below=0.4)
    shares = [found[name]["share"] for name in ("emotional", "uncertain", "rejected")]
    assert shares == [0.25, 0.25, 0.25]
    assert found["emotional_reader"] == 0.25
    assert (found["recordings"], found["speakers"]) == (2, 2)
    assert {label: count for label, count in found["called"].items() if count} == {"angry": 1, "neutral": 1}


def test_a_recording_has_an_event_if_any_of_its_utterances_is_taken_for_speech() -> None:
    ids = ("a@0-1", "a@2-3", "b@0-1")
    assert with_event(("a", "b", "silent"), answers(NOISE, ANGRY, NOISE), ids).tolist() == [True, False, False]


def test_none_of_few_is_not_certainly_none() -> None:
    found = share(np.zeros(20, dtype=bool), ["a", "b"] * 10)
    assert found["share"] == 0.0
    assert found["interval"]["clips"] == pytest.approx([0.0, 0.161], abs=1e-3)


def test_answering_only_where_it_is_sure_gains_accuracy() -> None:
    sure, unsure = answers(ANGRY, ANGRY, ANGRY), answers(NEUTRAL, margin=0.1)
    found = selective(np.concatenate([unsure, sure]), clips(*["angry"] * 4), uncertain_below=0.4)
    assert found["at_threshold"]["coverage"] == found["surest_three_quarters"]["coverage"] == 0.75
    assert found["at_threshold"]["accuracy_gained"] == 0.25
    assert found["curve"] == [[0.25, 0.0], [0.5, 0.0], [0.75, 0.0], [1.0, 0.25]]
    assert found["risk_coverage_area"] == pytest.approx(0.25 / 4)


def test_nothing_is_kept_by_a_threshold_that_nothing_reaches() -> None:
    assert selective(answers(ANGRY), clips("angry"), uncertain_below=1.0)["at_threshold"]["coverage"] == 0.0


def test_noise_costs_what_it_costs_in_each_corpus_and_on_their_average() -> None:
    heard = clips("angry", "neutral") + clips("angry", "neutral", corpus="nemo", speaker="KD0")
    found = losses(answers(ANGRY, NEUTRAL, ANGRY, NEUTRAL), answers(ANGRY, ANGRY, ANGRY, NEUTRAL), heard)
    assert {name: loss["lost"] for name, loss in found.items()} == {"crema-d": 0.5, "nemo": 0.0, "mean": 0.25}
    assert found["crema-d"]["uar_undisturbed"] == 1.0
    assert found["mean"]["interval"]["clips"] == [0.25, 0.25]


def test_people_are_judged_by_speaker_sex_and_language() -> None:
    heard = clips("angry") + clips("angry", speaker="1002") + clips("angry", corpus="nemo", speaker="KD0")
    given = answers(ANGRY, NEUTRAL, ANGRY)
    speakers = by_speaker(given, heard)
    assert [(one["speaker"], one["sex"], one["uar"]) for one in speakers["crema-d"]["speakers"]] == [
        ("1001", "M", 1.0),
        ("1002", "F", 0.0),
    ]
    assert (speakers["crema-d"]["median"], speakers["crema-d"]["deviation"]) == (0.5, 0.5)
    sexes = by_sex(given, heard)
    assert {sex: found["uar"] for sex, found in sexes["all"].items()} == {"F": 0.5, "M": 1.0}
    assert set(sexes["nemo"]) == {"F"}
    assert {name: found["clips"] for name, found in by_language(given, heard).items()} == {
        "English": 2,
        "Polish": 1,
    }


def test_a_speaker_whose_sex_is_not_known_is_in_no_sex() -> None:
    assert by_sex(answers(ANGRY), clips("angry", speaker="9999")) == {"all": {}, "crema-d": {}}


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.02, "**aim met**"), (0.03, "**aim met**"), (0.05, "must met"), (0.2, "**missed**")]
)
def test_a_loss_is_to_be_small(value: float, verdict: str) -> None:
    target = Target("loss", 0.1, 0.03, lambda _: Measured(value), is_more_better=False)
    assert target.verdict(Measured(value)) == verdict


@pytest.mark.parametrize(("value", "verdict"), [(0.9, "**aim met**"), (0.8, "must met"), (0.7, "**missed**")])
def test_a_recall_is_to_be_large(value: float, verdict: str) -> None:
    assert Target("recall", 0.75, 0.85, lambda _: Measured(value)).verdict(Measured(value)) == verdict


def test_what_is_not_in_the_results_is_not_measured() -> None:
    assert {target.verdict(target.measured({})) for target in TARGETS} == {"not measured"}
