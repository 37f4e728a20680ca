"""From logits to answers, example by example; ``tests/property/test_calibration.py`` has what holds for all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ser_agent.classifiers.metadata import read_metadata
from ser_agent.classifiers.readout import Prior, make_readout
from ser_agent.errors import ClassificationError, ModelError
from ser_agent.ports import NON_SPEECH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ser_agent.ports import Answer

LABELS = ("ang", "hap", "sad", "noise")
NAMES = ("angry", "happy", "sad", "noise")
HOME = {"ang": 1.0, "hap": 2.0, "sad": 5.0}
NOISY: dict[str, Any] = {"non_speech": ["noise"]}


def answer(
    logits: Sequence[float],
    told: dict[str, Any],
    prior: Prior | None = None,
    labels: Sequence[str] = LABELS,
    names: Sequence[str] = NAMES,
) -> Answer:
    metadata = read_metadata("model m", told, labels)
    (only,) = make_readout("m", metadata, labels, names, prior).answers(np.array([logits]))
    return only


def logs(*probabilities: float) -> list[float]:
    return [math.log(probability) for probability in probabilities]


def test_without_a_word_of_the_author_it_is_the_softmax() -> None:
    assert answer(logs(0.1, 0.2, 0.3, 0.4), {}) == pytest.approx(
        {"angry": 0.1, "happy": 0.2, "sad": 0.3, "noise": 0.4}
    )


def test_the_temperature_divides_and_the_bias_is_added_then() -> None:
    told = {"calibration": {"temperature": 2.0, "bias": {"hap": math.log(3)}}}
    heard = answer([4.0, 2.0, 0.0, 0.0], told)
    weights = np.exp([2.0, 1.0 + math.log(3), 0.0, 0.0])
    assert heard == pytest.approx(dict(zip(NAMES, weights / weights.sum(), strict=True)))


def test_the_power_bends_then_and_the_best_label_of_speech_stays() -> None:
    told = {"calibration": {"temperature": 2.0, "power": 0.5, "bias": {"hap": 0.1}}, **NOISY}
    heard = answer([18.0, 6.0, 0.0, 17.0], told)
    # The best label stands 9 - (9 + 3 + 0) / 3 = 5 above the mean, and then the root of that.
    weights = np.exp([9.0, 9.0 - 6.0 / math.sqrt(5) + 0.1, 9.0 - 9.0 / math.sqrt(5)])
    assert heard == pytest.approx(dict(zip(NAMES, weights / weights.sum(), strict=False)))
    assert answer([18.0, 6.0, 0.0, 19.0], told) is NON_SPEECH


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_where_all_labels_are_alike_there_is_nothing_to_bend(power: float) -> None:
    assert answer([3.0] * 4, {"calibration": {"power": power}}) == dict.fromkeys(NAMES, 0.25)


def test_where_a_label_of_non_speech_is_best_nobody_spoke() -> None:
    assert answer(logs(0.3, 0.2, 0.1, 0.4), NOISY) is NON_SPEECH
    assert answer(logs(0.4, 0.2, 0.1, 0.3), NOISY) == pytest.approx({"angry": 4 / 7, "happy": 2 / 7, "sad": 1 / 7})


def test_on_a_tie_somebody_spoke() -> None:
    assert answer([0.0, 0.0, 0.0, 0.0], NOISY) == pytest.approx({"angry": 1 / 3, "happy": 1 / 3, "sad": 1 / 3})


def test_calibration_and_prior_come_before_that_decision() -> None:
    logits = logs(0.3, 0.2, 0.1, 0.4)
    assert answer(logits, {**NOISY, "calibration": {"bias": {"noise": -1.0}}}) is not NON_SPEECH
    assert answer(logits, {**NOISY, "prior": {"home": {"ang": 8, "hap": 1, "sad": 1}}}) is not NON_SPEECH
    assert answer(logs(0.4, 0.2, 0.1, 0.3), {**NOISY, "prior": {"home": HOME}}) is NON_SPEECH


def test_that_decision_comes_before_the_names() -> None:
    """Two outputs that share a name are each weaker than the noise, and together stronger."""
    assert answer(logs(0.3, 0.2, 0.1, 0.4), NOISY, names=("cross", "cross", "sad", "quiet")) is NON_SPEECH
    heard = answer(logs(0.4, 0.2, 0.1, 0.3), NOISY, names=("cross", "cross", "sad", "cross"))
    assert heard == pytest.approx({"cross": 6 / 7, "sad": 1 / 7})


def test_several_labels_may_mean_that_nobody_spoke() -> None:
    told = {"non_speech": ["noise", "hap"]}
    assert answer(logs(0.3, 0.4, 0.2, 0.1), told) is NON_SPEECH
    assert answer(logs(0.4, 0.3, 0.1, 0.2), told) == pytest.approx({"angry": 0.8, "sad": 0.2})


TRAINED = {"angry": 0.2, "happy": 0.3, "sad": 0.5}
AT_HOME = {"angry": 0.2 / 3.3, "happy": 0.6 / 3.3, "sad": 2.5 / 3.3}


@pytest.mark.parametrize(
    ("told", "prior", "expected"),
    [
        ({"home": HOME}, None, AT_HOME),
        ({"home": HOME}, "home", AT_HOME),
        ({"home": HOME}, "trained", TRAINED),
        ({"home": HOME}, {"ang": 1e-3, "hap": 1e-3, "sad": 1e-3}, TRAINED),
        ({}, None, TRAINED),
        ({}, "trained", TRAINED),
        ({}, {"ang": 10, "hap": 20, "sad": 50}, AT_HOME),
        ({"trained": {"ang": 1e300, "hap": 2e300, "sad": 5e300}}, None, TRAINED),
        ({"home": HOME, "trained": {"ang": 3, "hap": 6, "sad": 15}}, None, TRAINED),
        ({"trained": {"ang": 5, "hap": 5, "sad": 1}}, {"ang": 1.7e308, "hap": 1.7e308, "sad": 1.7e308}, None),
    ],
)
def test_the_prior_is_the_users_else_that_of_homes_else_that_of_the_training(
    told: dict[str, Any], prior: Prior | None, expected: dict[str, float] | None
) -> None:
    heard = answer(logs(0.2, 0.3, 0.5), {"prior": told}, prior, LABELS[:3], NAMES[:3])
    assert heard == pytest.approx(expected or {"angry": 0.04 / 0.6, "happy": 0.06 / 0.6, "sad": 0.5 / 0.6})


@pytest.mark.parametrize(
    ("prior", "sentence"),
    [
        ("home", "classifier.prior is `home`, but the model's config.json tells no ser_agent.prior.home"),
        ({**HOME, "rage": 1.0}, "classifier.prior names rage, which is none of ang, hap, sad"),
        ({**HOME, "noise": 1.0}, "classifier.prior names noise, which is none of ang, hap, sad"),
        ({"ang": 1.0}, "classifier.prior leaves out hap, sad: it must name each of ang, hap, sad"),
    ],
)
def test_a_prior_that_the_model_cannot_have_is_refused(prior: Prior, sentence: str) -> None:
    with pytest.raises(ModelError) as raised:
        answer([0.0] * 4, NOISY, prior)
    assert str(raised.value).startswith(f"model m: the configuration's {sentence}")


@pytest.mark.parametrize(
    "logits", [[math.nan, 0, 0, 0], [0, 0, 0, math.nan], [math.inf, 0, 0, 0], [0, 0, 0, math.inf], [-math.inf] * 4]
)
def test_what_is_no_number_is_an_error_of_the_classification(logits: list[float]) -> None:
    for power in (1.0, 0.5):
        with pytest.raises(ClassificationError, match="not a number"):
            answer(logits, {**NOISY, "calibration": {"power": power}})


def test_logits_that_a_tiny_temperature_makes_infinite_are_too() -> None:
    with pytest.raises(ClassificationError, match="not a number"):
        answer([10.0, 9.0, 8.0, 7.0], {"calibration": {"temperature": 1e-308}})


def test_an_output_that_is_certainly_not_meant_is_a_probability_of_zero() -> None:
    for power in (1.0, 0.5):
        told = {**NOISY, "calibration": {"power": power}}
        assert answer([0.0, 0.0, -math.inf, -math.inf], told) == {"angry": 0.5, "happy": 0.5, "sad": 0.0}
