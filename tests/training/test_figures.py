from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from training.corpora import LABELS
from training.figures import bootstrap_uar, expected_calibration_error, figures, uar


def test_uar_weighs_rare_labels_like_common_ones() -> None:
    truth = np.array([0] * 90 + [1] * 10)
    assert uar(truth, np.zeros(100, dtype=np.int64)) == pytest.approx(0.5)


def test_the_interval_holds_the_figure_and_shrinks_with_more_clips() -> None:
    truth = np.tile([0, 1], 50)
    given = np.where(np.arange(100) % 10 < 7, truth, 1 - truth)
    low, high = bootstrap_uar(truth, given)
    assert low < uar(truth, given) < high
    tight_low, tight_high = bootstrap_uar(np.tile(truth, 20), np.tile(given, 20))
    assert tight_high - tight_low < (high - low) / 3


def test_confident_and_half_right_is_a_calibration_error_of_half() -> None:
    probabilities = np.tile([1.0, 0.0], (10, 1))
    assert expected_calibration_error(probabilities, np.array([0, 1] * 5)) == pytest.approx(0.5)


def test_own_labels_leave_out_what_the_corpus_lacks_and_all_labels_do_not() -> None:
    logits = np.zeros((6, 7))
    truth = [label for label in range(7) if LABELS[label] != "surprise"]
    for row, label in enumerate(truth):
        logits[row, label] = 1.0
    logits[0, LABELS.index("surprise")] = 2.0
    found = figures(logits, truth, "crema-d")
    assert found["uar"] == 1.0
    assert found["uar_all_labels"] == pytest.approx(5 / 6)
    assert found["confusion_all_labels"][0][LABELS.index("surprise")] == 1
