from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from training.calibrate import fit_temperature, fold_temperature  # noqa: E402 - after the skips
from training.corpora import LABELS, allowed_labels  # noqa: E402
from training.head import MovingStandardisation, fit_head, pooled_states, standardise  # noqa: E402
from training.network import (  # noqa: E402
    freeze_what_is_given,
    masked_cross_entropy,
    predict_logits,
)
from training.sound import collate  # noqa: E402

RNG = np.random.default_rng(3)


def tiny_model() -> Any:  # noqa: ANN401
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8, 8),
        conv_kernel=(400, 3),
        conv_stride=(160, 2),
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=4,
        classifier_proj_size=16,
        use_weighted_layer_sum=True,
        num_labels=len(LABELS),
    )
    return transformers.Wav2Vec2ForSequenceClassification(config).eval()


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


def test_a_folded_temperature_divides_the_logits() -> None:
    model = tiny_model()
    sounds = [RNG.standard_normal(8_000, dtype=np.float32)]
    before = predict_logits(model, sounds)
    fold_temperature(model, 1.7)
    np.testing.assert_allclose(predict_logits(model, sounds), before / 1.7, atol=1e-5)


def test_answers_come_in_the_order_of_the_sounds_whatever_their_lengths() -> None:
    model = tiny_model()
    sounds = [RNG.standard_normal(n, dtype=np.float32) for n in (9_000, 4_000, 16_000, 5_000)]
    single = np.concatenate([predict_logits(model, [sound]) for sound in sounds])
    np.testing.assert_allclose(predict_logits(model, sounds, batch_size=2), single, atol=1e-5)


def test_only_the_layers_their_weights_and_the_classifier_are_trained() -> None:
    model = tiny_model()
    freeze_what_is_given(model)
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert trained == {
        name
        for name, _ in model.named_parameters()
        if name.startswith(("wav2vec2.encoder.layer", "classifier", "layer_weights"))
    }


def test_pooled_states_through_the_head_are_the_models_own_answers() -> None:
    model = tiny_model()
    sounds = [RNG.standard_normal(n, dtype=np.float32) for n in (9_000, 4_000, 16_000)]
    pooled = pooled_states(model, sounds)
    with torch.no_grad():
        mixed = (pooled * model.layer_weights.softmax(dim=0)[:, None]).sum(dim=1)
        logits = model.classifier(model.projector(mixed))
    np.testing.assert_allclose(logits.numpy(), predict_logits(model, sounds), atol=1e-5)


def test_the_projection_standardises_and_trusts_large_means_less() -> None:
    model = tiny_model()
    states = torch.randn(2000, 16) * 7.0
    states[:, 8:] += 350.0
    standardise(model, states.mean(dim=0), states.var(dim=0))
    with torch.no_grad():
        projected = model.projector(states)
    torch.testing.assert_close(projected.mean(dim=0), torch.zeros(16), atol=1e-3, rtol=0)
    torch.testing.assert_close(projected[:, :8].std(dim=0), torch.ones(8), atol=0.01, rtol=0)
    assert projected[:, 8:].std(dim=0).max() < 0.2


def test_the_projection_follows_an_encoder_that_moves() -> None:
    model = tiny_model()
    standardise(model, torch.zeros(16), torch.ones(16))
    standardisation = MovingStandardisation(model)
    values, mask = collate([RNG.standard_normal(n, dtype=np.float32) for n in (16_000, 16_000)])
    projected: list[Any] = []
    model.projector.register_forward_hook(lambda _module, _inputs, output: projected.append(output))
    with torch.no_grad():
        model.wav2vec2.encoder.layer_norm.bias += 5.0
        for _ in range(400):
            model(values, attention_mask=mask)
            standardisation.follow(mask)
    before, after = (abs(output.mean(dim=(0, 1))).max() for output in (projected[0], projected[-1]))
    assert after < before / 5


def test_the_head_learns_what_the_states_tell() -> None:
    from training.corpora import Clip  # noqa: PLC0415
    from training.settings import HeadSettings, Settings  # noqa: PLC0415

    labels = RNG.integers(0, len(LABELS), size=300)
    clips = [Clip(str(row), "ravdess", "05", LABELS[label], "train") for row, label in enumerate(labels)]
    pooled = torch.randn(300, 3, 16) * 0.1
    pooled[:, 2, :7] += torch.nn.functional.one_hot(torch.tensor(labels), 7)
    head = HeadSettings(steps=200, batch_size=64, learning_rate=1e-2, l2=0.0)
    loss = fit_head(tiny_model(), pooled, clips, Settings(head=head, label_smoothing=0.0))
    assert loss < 0.2 < np.log(7)
