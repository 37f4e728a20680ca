from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("audmetric")
pytest.importorskip("torchmetrics")

from sklearn.metrics import f1_score, recall_score

from training.corpora import LABELS, Clip
from training.figures import (
    calibration_error,
    calibration_error_by_chance,
    figures,
    macro_f1,
    mean_uar,
    uar,
)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.bootstrap.RESAMPLES", 200)


RNG = np.random.default_rng(2)


def clips_of(corpus: str, emotions: list[str], speakers: int = 3) -> list[Clip]:
    return [
        Clip(f"{corpus}/{row}", corpus, str(row % speakers), emotion, "dev")
        for row, emotion in enumerate(emotions)
    ]


def logits_for(emotions: list[str], outputs: int = 7) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    logits = np.zeros((len(emotions), outputs))
    logits[np.arange(len(emotions)), [LABELS.index(emotion) for emotion in emotions]] = 1.0
    return logits


def test_uar_weighs_rare_labels_like_common_ones() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    assert uar(truth, np.zeros(100, dtype=np.int64)) == pytest.approx(0.5)


def test_a_label_that_never_occurs_is_wrong_and_not_left_out() -> None:
    truth, given = np.array([0, 0, 1, 1]), np.array([0, 5, 1, 6])
    assert uar(truth, given) == pytest.approx(recall_score(truth, given, labels=[0, 1], average="macro"))
    assert macro_f1(truth, given) == pytest.approx(f1_score(truth, given, labels=[0, 1], average="macro"))


def test_intervals_hold_the_figure_and_shrink_with_more_clips() -> None:
    emotions = ["angry", "sad"] * 50
    given = [emotion if row % 10 < 7 else "fear" for row, emotion in enumerate(emotions)]
    few = figures(logits_for(given), clips_of("ravdess", emotions))
    many = figures(logits_for(given * 20), clips_of("ravdess", emotions * 20))
    for found in (few, many):
        low, high = found["intervals"]["uar"]["clips"]
        assert low < found["uar"] < high
    (low, high), (tight_low, tight_high) = (found["intervals"]["uar"]["clips"] for found in (few, many))
    assert tight_high - tight_low < (high - low) / 3


def test_speakers_that_differ_widen_the_interval_over_speakers_alone() -> None:
    emotions = ["angry", "angry", "sad", "sad"] * 25
    clips = [
        Clip(str(row), "ravdess", "03" if row % 2 else "04", emotion, "dev")
        for row, emotion in enumerate(emotions)
    ]
    given = [emotion if row % 2 else "fear" for row, emotion in enumerate(emotions)]
    interval = figures(logits_for(given), clips)["intervals"]["uar"]
    assert interval["speakers"] == [0.0, 1.0]
    assert 0.3 < interval["clips"][0] < interval["clips"][1] < 0.7


def test_of_one_speaker_there_is_no_interval_over_speakers() -> None:
    emotions = ["angry", "sad"]
    found = figures(logits_for(emotions), clips_of("nemo", emotions, speakers=1))
    assert found["intervals"]["uar"]["speakers"] is None


def test_confident_and_half_right_is_a_calibration_error_of_half() -> None:
    probabilities = np.tile([1.0, 0.0], (10, 1))
    assert calibration_error(probabilities, np.array([0, 1] * 5)) == pytest.approx(0.5)


def test_chance_alone_makes_more_calibration_error_of_fewer_clips() -> None:
    probabilities = RNG.dirichlet(np.ones(7), size=4000)
    few, many = calibration_error_by_chance(probabilities[:100]), calibration_error_by_chance(probabilities)
    assert many < 0.03 < few


def test_own_labels_leave_out_what_the_corpus_lacks_and_all_labels_do_not() -> None:
    emotions = [label for label in LABELS if label != "surprise"]
    logits = logits_for(emotions)
    logits[0, LABELS.index("surprise")] = 2.0
    found = figures(logits, clips_of("crema-d", emotions))
    assert found["uar"] == 1.0
    assert found["uar_all_labels"] == pytest.approx(5 / 6)
    assert found["confusion_all_labels"][0][LABELS.index("surprise")] == 1
    assert found["classes"]["angry"] == {"clips": 1, "recall": 1.0, "precision": 1.0, "f1": 1.0}


def test_a_clip_that_is_taken_for_noise_is_wrong_among_all_labels_alone() -> None:
    emotions = list(LABELS)
    logits = logits_for(emotions, outputs=8)
    logits[2, 7] = 3.0
    found = figures(logits, clips_of("ravdess", emotions))
    assert (found["uar"], found["top3"]) == (1.0, 1.0)
    assert found["uar_all_labels"] == found["top3_all_labels"] == pytest.approx(6 / 7)
    assert found["confusion_all_labels"][2] == [0, 0, 0, 0, 0, 0, 0, 1]


def test_calibration_changes_confidence_and_its_figures_before_are_kept() -> None:
    emotions = list(LABELS) * 20
    logits = 10.0 * logits_for([emotion if row % 2 else "sad" for row, emotion in enumerate(emotions)])
    found = figures(logits, clips_of("ravdess", emotions), calibrated=logits / 10.0)
    plain = figures(logits, clips_of("ravdess", emotions))
    assert found["ece_uncalibrated"] == plain["ece_all_labels"]
    assert found["nll_uncalibrated"] == plain["nll_all_labels"]
    assert found["nll_all_labels"] < plain["nll_all_labels"]
    assert found["uar"] == plain["uar"]


def test_several_corpora_are_judged_each_among_its_own_labels() -> None:
    logits = np.zeros((2, 7))
    logits[:, LABELS.index("surprise")] = 2.0
    logits[:, LABELS.index("angry")] = 1.0
    clips = clips_of("crema-d", ["angry"]) + clips_of("ravdess", ["surprise"])
    assert mean_uar(logits, clips) == {"crema-d": 1.0, "ravdess": 1.0, "mean": 1.0}
    assert figures(logits, clips)["accuracy"] == 1.0


def test_another_number_of_answers_than_clips_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 answers to 2 clips"):
        figures(np.zeros((1, 7)), clips_of("ravdess", ["angry", "sad"]))
