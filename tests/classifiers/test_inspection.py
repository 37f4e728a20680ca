"""What must be true of a checkpoint. Needs no torch: configurations and reports are written by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ser_agent.classifiers.heads import head_of_soxan
from ser_agent.classifiers.inspection import check_config, check_extractor, check_weights
from ser_agent.errors import ModelError

EMOTIONS = ("angry", "happy", "sad")
STOCK = ["classifier.bias", "classifier.weight", "projector.bias", "projector.weight"]
SOXAN = [
    "classifier.dense.bias",
    "classifier.dense.weight",
    "classifier.out_proj.bias",
    "classifier.out_proj.weight",
]
EHCALABRES = [key.replace("out_proj", "output") for key in SOXAN]


def config(labels: tuple[str, ...] = EMOTIONS, **more: Any) -> SimpleNamespace:  # noqa: ANN401
    known = {"problem_type": None, "architectures": ["Wav2Vec2ForSpeechClassification"], "pooling_mode": "mean"}
    return SimpleNamespace(id2label=dict(enumerate(labels)), **{**known, **more})


@pytest.mark.parametrize("problem", [None, "single_label_classification"])
def test_a_classifier_passes(problem: str | None) -> None:
    check_config("m", config(problem_type=problem))


@pytest.mark.parametrize(
    ("described", "words"),
    [
        (config(problem_type="regression"), ("regression", "angry, happy, sad")),
        (config(("arousal", "dominance", "valence")), ("regression", "arousal, dominance, valence")),
        (config(("Valence", "Activation")), ("regression",)),
        (config(("LABEL_0",)), ("regression", "LABEL_0")),
        (config(problem_type="multi_label_classification"), ("exclude one another",)),
    ],
)
def test_what_does_not_choose_one_class_is_refused(described: SimpleNamespace, words: tuple[str, ...]) -> None:
    with pytest.raises(ModelError) as raised:
        check_config("mine", described)
    for word in ("model mine", *words):
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("rate", "words"), [(8000, "8000 Hz"), (44_100, "44100 Hz"), (None, "does not say which sampling rate")]
)
def test_a_model_for_another_sampling_rate_is_refused(rate: int | None, words: str) -> None:
    with pytest.raises(ModelError, match=words) as raised:
        check_extractor("mine", SimpleNamespace(sampling_rate=rate))
    assert "16000 Hz" in str(raised.value)


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"unexpected_keys": ["lm_head.weight", "quantizer.codevectors", "wav2vec2.masked_spec_embed"]},
        {"missing_keys": ["wav2vec2.masked_spec_embed"]},
    ],
)
def test_what_only_training_uses_may_be_missing_or_left_over(report: dict[str, list[str]]) -> None:
    assert check_weights("m", config(), report, "wav2vec2") is False


@pytest.mark.parametrize(
    ("report", "words"),
    [
        ({"missing_keys": STOCK}, ("projector.weight", "random", "never trained to classify")),
        ({"mismatched_keys": [("classifier.weight", (4, 8), (3, 8))]}, ("classifier.weight", "another shape")),
        ({"missing_keys": [f"wav2vec2.encoder.layers.{n}.x" for n in range(24)]}, ("layers.0.x", "18 more")),
        ({"unexpected_keys": ["wav2vec2.encoder.layers.12.x"]}, ("layers.12.x", "left out")),
        ({"missing_keys": STOCK, "unexpected_keys": EHCALABRES}, ("classifier.output.weight", "its author's")),
    ],
)
def test_a_model_that_is_partly_random_is_refused(report: dict[str, list[Any]], words: tuple[str, ...]) -> None:
    with pytest.raises(ModelError) as raised:
        check_weights("mine", config(), report, "wav2vec2")
    for word in ("model mine", *words):
        assert word in str(raised.value)


def test_the_known_head_is_recognised_by_its_weights_its_class_and_its_pooling() -> None:
    report = {"missing_keys": STOCK, "unexpected_keys": [*SOXAN, "wav2vec2.masked_spec_embed"]}
    assert check_weights("m", config(), report, "wav2vec2") is True


@pytest.mark.parametrize(
    ("described", "missing", "unexpected"),
    [
        (config(pooling_mode="max"), STOCK, SOXAN),
        (config(pooling_mode=None), STOCK, SOXAN),
        (config(architectures=["Wav2Vec2ForSequenceClassification"]), STOCK, SOXAN),
        (config(architectures=None), STOCK, SOXAN),
        (config(), STOCK, EHCALABRES),
        (config(), STOCK, [*SOXAN, "classifier.norm.weight"]),
        (config(), [*STOCK, "layer_weights"], SOXAN),
        (config(), [], []),
    ],
)
def test_a_head_that_is_only_similar_is_not_taken_for_the_known_one(
    described: SimpleNamespace, missing: list[str], unexpected: list[str]
) -> None:
    assert not head_of_soxan(described, missing, unexpected)
