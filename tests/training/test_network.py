from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.tiny_model import tiny_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from ser_agent.classifiers.readout import bent  # noqa: E402 - after the skips
from training.calibrate import choose_curve, fit_curve, fit_temperature, fit_threshold  # noqa: E402
from training.corpora import LABELS, allowed_labels  # noqa: E402
from training.network import masked_cross_entropy, predict_logits  # noqa: E402

if TYPE_CHECKING:
    from numpy.typing import NDArray

RNG = np.random.default_rng(3)


def test_labels_that_the_corpus_lacks_get_no_gradient_and_cost_nothing() -> None:
    allowed = torch.tensor([allowed_labels("crema-d")])
    logits = torch.zeros(1, len(LABELS))
    logits[0, LABELS.index("surprise")] = 50.0
    logits.requires_grad_()
    loss = masked_cross_entropy(logits, torch.tensor([0]), allowed, smoothing=0.1)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(np.log(6), abs=1e-5)
    assert logits.grad is not None
    assert logits.grad[0, LABELS.index("surprise")] == 0.0
    assert torch.isfinite(logits.grad).all()


def test_with_all_labels_allowed_it_is_the_usual_cross_entropy() -> None:
    logits, labels = torch.randn(4, 7), torch.tensor([0, 3, 6, 2])
    usual = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    ours = masked_cross_entropy(logits, labels, torch.ones(4, 7, dtype=torch.bool), smoothing=0.1)
    assert ours.item() == pytest.approx(usual.item(), abs=1e-6)


def answered(clips: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Logits that are exactly right, the clips' labels, and even weights."""
    logits = RNG.normal(scale=2.0, size=(clips, 7))
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (RNG.random((clips, 1)) > odds.cumsum(axis=1)).sum(axis=1)
    return logits, labels, np.full(clips, 1 / clips)


def unbent(logits: NDArray[np.float64], power: float, temperature: float) -> NDArray[np.float64]:
    """Of such a model as the power and the temperature make exactly right."""
    return bent(logits, 1.0 / power) * temperature


def test_the_temperature_that_was_put_in_is_found_again() -> None:
    logits, labels, even = answered(20_000)
    assert fit_temperature(logits * 2.5, labels, even) == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize(("temperature", "power"), [(0.7, 0.6), (2.0, 1.5), (1.0, 1.0)])
def test_temperature_and_power_that_were_put_in_are_found_again(temperature: float, power: float) -> None:
    logits, labels, even = answered(20_000)
    found = fit_curve(unbent(logits, power, temperature), labels, even)
    assert found.temperature == pytest.approx(temperature, rel=0.1)
    assert found.power == pytest.approx(power, rel=0.1)


def test_the_curve_is_bent_only_where_that_helps_with_strangers() -> None:
    logits, labels, even = answered(4_000)
    people = [row % 4 for row in range(len(labels))]
    assert choose_curve(unbent(logits, 0.5, 1.0), labels, even, people).power == pytest.approx(0.5, rel=0.2)
    assert choose_curve(unbent(logits, 0.5, 1.0), labels, even, [1] * len(labels)).power == 1.0  # no strangers


def test_what_is_true_of_one_person_alone_is_not_bent_to() -> None:
    """Two people of opposite curves: what fits the one makes the other worse than no bend at all."""
    logits, labels, even = answered(2_000)
    first = np.arange(len(labels)) < 1_000
    of_two = np.where(first[:, None], unbent(logits, 0.5, 1.0), unbent(logits, 2.0, 1.0))
    assert choose_curve(of_two, labels, even, first.tolist()).power == 1.0


def test_answers_come_in_the_order_of_the_sounds_whatever_their_lengths() -> None:
    model = tiny_model()
    sounds = [RNG.standard_normal(n, dtype=np.float32) for n in (9_000, 4_000, 16_000, 5_000)]
    single = np.concatenate([predict_logits(model, [sound]) for sound in sounds])
    np.testing.assert_allclose(predict_logits(model, sounds, batch_size=2), single, atol=1e-5)


def test_the_threshold_leaves_the_share_that_was_asked_for() -> None:
    logits = RNG.normal(scale=2.0, size=(1_000, 7))
    confidence = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).max(axis=1)
    threshold = fit_threshold(logits, np.full(len(logits), 1 / len(logits)), coverage=0.85)
    assert np.mean(confidence >= threshold) == pytest.approx(0.85, abs=0.005)
