"""Invariants of what is done with a model's logits, for any logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ser_agent.classifiers.metadata import Metadata, read_metadata
from ser_agent.classifiers.readout import make_readout
from ser_agent.ports import NON_SPEECH, Answer

EMOTIONS = ("angry", "happy", "neutral", "sad")
LABELS = ("angry", "happy", "door", "neutral", "sad", "music")
NON_SPEECHES = ("door", "music")
Row = NDArray[np.float64]


def rows(least: float, most: float, size: int) -> st.SearchStrategy[Row]:
    return st.lists(st.floats(least, most), min_size=size, max_size=size).map(np.array)


LOGITS = rows(-30, 30, len(LABELS))
SHARES = rows(1e-3, 1e3, len(EMOTIONS))
TEMPERATURES = st.floats(0.05, 20)
POWERS = st.floats(0.1, 4)


def answer(logits: Row, **told: Any) -> Answer:  # noqa: ANN401 - the mapping's keys
    labels = LABELS if len(logits) == len(LABELS) else EMOTIONS
    metadata: Metadata = read_metadata("model m", told, labels)
    (only,) = make_readout("m", metadata, labels, labels, None).answers(logits[None])
    return only


def emotions_of(heard: Answer) -> Row:
    assert isinstance(heard, Mapping)
    return np.array([heard[label] for label in EMOTIONS])


def softmax(logits: Row) -> Row:
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum())


@given(rows(-30, 30, len(EMOTIONS)), TEMPERATURES)
def test_the_temperature_never_changes_the_order(logits: Row, temperature: float) -> None:
    heard = emotions_of(answer(logits, calibration={"temperature": temperature}))
    ranked = heard[np.argsort(logits)]
    assert (np.diff(ranked) >= 0).all()
    assert heard[logits.argmax()] == heard.max()


@given(LOGITS, TEMPERATURES)
def test_the_temperature_never_changes_whether_somebody_spoke(logits: Row, temperature: float) -> None:
    cold, warm = (
        answer(logits, non_speech=NON_SPEECHES, calibration={"temperature": value}) for value in (1, temperature)
    )
    best = logits / temperature  # two logits may become one
    tie = len(set(best)) < len(set(logits))
    assert tie or (cold is NON_SPEECH) == (warm is NON_SPEECH)


@given(LOGITS, TEMPERATURES, POWERS)
def test_the_power_never_changes_the_order_nor_whether_somebody_spoke(
    logits: Row, temperature: float, power: float
) -> None:
    straight, bent = (
        answer(logits, non_speech=NON_SPEECHES, calibration={"temperature": temperature, "power": value})
        for value in (1.0, power)
    )
    assert (straight is NON_SPEECH) == (bent is NON_SPEECH)
    if bent is not NON_SPEECH:
        after = emotions_of(bent)
        spoken = logits[[label in EMOTIONS for label in LABELS]]
        assert (np.diff(after[np.argsort(spoken)]) >= 0).all()
        assert after[spoken.argmax()] == after.max()
        assert abs(after.sum() - 1.0) < 1e-12


@given(LOGITS, TEMPERATURES)
def test_a_power_of_one_changes_nothing(logits: Row, temperature: float) -> None:
    told, untold = (
        answer(logits, calibration={"temperature": temperature, **more}) for more in ({"power": 1.0}, {})
    )
    assert told == untold


@given(rows(-30, 30, len(EMOTIONS)), POWERS)
def test_the_power_is_that_of_how_far_the_best_stands_above_the_mean(logits: Row, power: float) -> None:
    spread = logits.max() - logits.mean()
    scores = np.log(emotions_of(answer(logits, calibration={"power": power})).clip(1e-300))
    if 1e-3 < spread**power < 100:  # in between, rounding is small, and nothing vanishes
        assert np.isclose(scores.max() - scores.mean(), spread**power, rtol=1e-6)


@given(rows(1e-3, 1, len(EMOTIONS)), SHARES, SHARES)
def test_the_prior_is_changed_by_bayes_rule(likelihoods: Row, trained: Row, home: Row) -> None:
    learnt = likelihoods * trained / (likelihoods * trained).sum()
    expected = likelihoods * home / (likelihoods * home).sum()
    told = {
        name: dict(zip(EMOTIONS, shares.tolist(), strict=True))
        for name, shares in (("trained", trained), ("home", home))
    }
    heard = emotions_of(answer(np.log(learnt), prior=told))
    np.testing.assert_allclose(heard, expected, rtol=1e-9)


@given(LOGITS, SHARES)
def test_a_change_of_the_prior_takes_how_often_nobody_speaks_as_it_was(logits: Row, home: Row) -> None:
    """Bayes' rule holds over all labels, those of non-speech having the same share in both priors."""
    told = {"home": dict(zip(EMOTIONS, home.tolist(), strict=True))}
    ratios = dict(zip(EMOTIONS, home / home.sum() * len(EMOTIONS), strict=True))
    posterior = softmax(logits) * np.array([ratios.get(label, 1.0) for label in LABELS])
    speech = np.array([label in EMOTIONS for label in LABELS])
    heard = answer(logits, non_speech=NON_SPEECHES, prior=told)
    if heard is NON_SPEECH:
        assert posterior[~speech].max() >= posterior[speech].max() * (1 - 1e-9)
    else:
        assert posterior[speech].max() >= posterior[~speech].max() * (1 - 1e-9)
        np.testing.assert_allclose(emotions_of(heard), posterior[speech] / posterior[speech].sum(), rtol=1e-9)


@given(LOGITS)
def test_somebody_spoke_unless_the_best_label_says_otherwise_and_what_is_left_is_a_distribution(
    logits: Row,
) -> None:
    heard = answer(logits, non_speech=NON_SPEECHES)
    speech = np.array([label in EMOTIONS for label in LABELS])
    assert (heard is NON_SPEECH) == (logits[~speech].max() > logits[speech].max())
    if isinstance(heard, Mapping):
        assert list(heard) == list(EMOTIONS)
        assert abs(sum(heard.values()) - 1.0) < 1e-12
        conditional = softmax(logits)[speech] / softmax(logits)[speech].sum()
        np.testing.assert_allclose(emotions_of(heard), conditional, rtol=1e-9)
