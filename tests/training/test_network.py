from __future__ import annotations

import numpy as np
import pytest
from support.tiny_model import tiny_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from training.calibrate import fit_temperature, fit_threshold  # noqa: E402 - after the skips
from training.corpora import LABELS, allowed_labels  # noqa: E402
from training.network import masked_cross_entropy, predict_logits  # noqa: E402

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


def test_the_temperature_that_was_put_in_is_found_again() -> None:
    true_logits = RNG.normal(scale=2.0, size=(20_000, 7))
    odds = np.exp(true_logits) / np.exp(true_logits).sum(axis=1, keepdims=True)
    labels = (RNG.random((len(odds), 1)) > odds.cumsum(axis=1)).sum(axis=1)
    even = np.full(len(labels), 1 / len(labels))
    assert fit_temperature(true_logits * 2.5, labels, even) == pytest.approx(2.5, rel=0.05)


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
