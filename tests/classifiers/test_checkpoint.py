"""What a loaded checkpoint says of sound, compared with the model called by hand."""

from __future__ import annotations

import importlib
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.answers import classified

from ser_agent.audio import SAMPLE_RATE, Samples, Utterance
from ser_agent.errors import ClassificationError
from ser_agent.testing import check_classifier, utterance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from support.checkpoints import CheckpointBuilder, MakeClassifier

    from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier

pytestmark = pytest.mark.model

KINDS: dict[str, Callable[[CheckpointBuilder], Path]] = {
    "wav2vec2, layer norm": lambda build: build.raw(),
    "wav2vec2, group norm": lambda build: build.raw(norm="group"),
    "group norm whose extractor asks for masks": lambda build: build.raw(norm="group", mask=True),
    "layer norm whose extractor asks for none": lambda build: build.raw(mask=False),
    "hubert": lambda build: build.raw("hubert"),
    "whisper": lambda build: build.whisper(),
    "custom head": lambda build: build.custom_head(),
}


def noise(duration_s: float, seed: int = 0) -> Utterance:
    samples = np.random.default_rng(seed).normal(0, 3000, round(duration_s * SAMPLE_RATE)).astype(np.int16)
    return Utterance(samples, 0, "silence", captured_at=0.0, closed_at=duration_s)


def torch_module() -> Any:  # noqa: ANN401 - the module, which may not be installed
    return importlib.import_module("torch")


def stock_answer(folder: Path, samples: Samples) -> list[float]:
    """Probabilities by transformers' own classes, one sound at a time, without a mask."""
    transformers = importlib.import_module("transformers")
    model = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(samples.astype(np.float32) / 32768, sampling_rate=SAMPLE_RATE, return_tensors="pt")
    with torch_module().inference_mode():
        logits = model(inputs[extractor.model_input_names[0]]).logits[0]
    return [float(value) for value in logits.softmax(-1)]


def near(one: Mapping[str, float], other: Mapping[str, float], tolerance: float = 1e-5) -> bool:
    return set(one) == set(other) and all(math.isclose(one[key], other[key], abs_tol=tolerance) for key in one)


@pytest.mark.parametrize("kind", KINDS)
def test_it_keeps_the_promises_of_a_classifier(build: CheckpointBuilder, make: MakeClassifier, kind: str) -> None:
    check_classifier(make(KINDS[kind](build)))


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
def test_a_wavlm_keeps_them_too(build: CheckpointBuilder, make: MakeClassifier) -> None:
    check_classifier(make(build.raw("wavlm")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_gives_what_each_sound_gives_alone(
    build: CheckpointBuilder, make: MakeClassifier, kind: str
) -> None:
    classifier = make(KINDS[kind](build), max_batch=3)
    classifier.load()
    sounds = [noise(duration_s, seed) for seed, duration_s in enumerate((0.9, 1.3, 0.02, 1.3, 1.0, 4.0, 1.1))]
    together = classified(classifier, sounds)
    for sound, answer in zip(sounds, together, strict=True):
        assert sum(answer.values()) == pytest.approx(1.0)
        assert near(answer, classified(classifier, [sound])[0])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "custom head"])
def test_it_says_what_transformers_own_classes_say(
    build: CheckpointBuilder, make: MakeClassifier, kind: str
) -> None:
    folder = KINDS[kind](build)
    classifier = make(folder)
    classifier.load()
    sound = noise(1.5)
    answer = list(classified(classifier, [sound])[0].values())
    assert answer == pytest.approx(stock_answer(folder, sound.samples), abs=1e-5)


def test_the_known_custom_head_is_rebuilt_exactly(build: CheckpointBuilder, make: MakeClassifier) -> None:
    folder = build.custom_head()
    weights = build.weights(folder)
    transformers, torch = importlib.import_module("transformers"), torch_module()
    encoder = transformers.Wav2Vec2Model.from_pretrained(folder).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    sound = noise(1.5)
    inputs = extractor(sound.samples.astype(np.float32) / 32768, sampling_rate=SAMPLE_RATE, return_tensors="pt")
    with torch.inference_mode():
        pooled = encoder(inputs["input_values"]).last_hidden_state.mean(dim=1)[0]
        hidden = torch.tanh(weights["classifier.dense.weight"] @ pooled + weights["classifier.dense.bias"])
        logits = weights["classifier.out_proj.weight"] @ hidden + weights["classifier.out_proj.bias"]
    classifier = make(folder)
    classifier.load()
    answer = list(classified(classifier, [sound])[0].values())
    assert answer == pytest.approx(logits.softmax(-1).tolist(), abs=1e-5)


def test_weights_of_before_torch_2_are_understood(build: CheckpointBuilder, make: MakeClassifier) -> None:
    folder = build.raw()
    sound = noise(1.0)
    expected = stock_answer(folder, sound.samples)
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    weights = build.weights(folder)
    for key in [key for key in weights if "pos_conv_embed" in key]:
        for new, former in old.items():
            if key.endswith(new):
                weights[key.replace(new, former)] = weights.pop(key)
    assert any(key.endswith("weight_g") for key in weights)
    build.save_weights(folder, weights)
    classifier = make(folder)
    classifier.load()
    assert list(classified(classifier, [sound])[0].values()) == pytest.approx(expected, abs=1e-5)


def test_half_precision_weights_are_computed_with_in_single_on_a_processor(
    build: CheckpointBuilder, make: MakeClassifier
) -> None:
    folder = build.raw(dtype="float16")
    build.save_weights(folder, {key: value.half() for key, value in build.weights(folder).items()})
    check_classifier(make(folder))


def test_outputs_with_the_same_name_are_summed(build: CheckpointBuilder, make: MakeClassifier) -> None:
    folder = build.raw()
    apart, summed = make(folder, keep_labels=True), make(folder, labels={"hap": "lively", "0": "lively"})
    apart.load()
    assert summed.load().labels == ("lively", "neutral", "sad")
    one, other = classified(apart, [noise(1.0)])[0], classified(summed, [noise(1.0)])[0]
    expected = {"lively": one["ang"] + one["hap"], "neutral": one["neu"], "sad": one["sad"]}
    assert near(other, expected)


def test_the_loudness_makes_no_difference_where_the_extractor_normalises(
    build: CheckpointBuilder, make: MakeClassifier
) -> None:
    classifier = make(build.raw())
    classifier.load()
    loud = noise(1.0)
    quiet = Utterance((loud.samples // 4).astype(np.int16), 0, "silence", captured_at=0.0, closed_at=1.0)
    one, other = classified(classifier, [loud, quiet])
    assert near(one, other, tolerance=0.01)


@pytest.mark.parametrize("samples", [0, 1, 399, 1599])
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_a_sound_too_short_for_the_model_is_filled_up(
    build: CheckpointBuilder,
    make: MakeClassifier,
    samples: int,
    norm: Any,  # noqa: ANN401
) -> None:
    classifier = make(build.raw(norm=norm))
    classifier.load()
    sound = Utterance(np.zeros(samples, np.int16), 0, "silence", captured_at=0.0, closed_at=0.0)
    assert sum(classified(classifier, [sound])[0].values()) == pytest.approx(1.0)


def test_nothing_to_classify_gives_nothing(build: CheckpointBuilder, make: MakeClassifier) -> None:
    classifier = make(build.raw())
    classifier.load()
    assert classifier.classify([]) == []


def test_a_whisper_hears_the_first_30_s_and_says_so(
    build: CheckpointBuilder, make: MakeClassifier, caplog: pytest.LogCaptureFixture
) -> None:
    classifier = make(build.whisper())
    classifier.load()
    long = utterance(31.0)
    start = Utterance(long.samples[: 30 * SAMPLE_RATE], 0, "silence", captured_at=0.0, closed_at=30.0)
    assert near(classified(classifier, [long])[0], classified(classifier, [start])[0])
    assert "hears only the first 30 s" in caplog.text


class Failing:
    """Stands for a model whose computation fails."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    def __call__(self, **_: object) -> None:
        raise self._failure


def with_model(classifier: Wav2Vec2Classifier, model: object) -> None:
    checkpoint: Any = classifier._model
    assert checkpoint is not None
    checkpoint._model = model


def test_no_memory_left_is_an_error_of_the_classification(build: CheckpointBuilder, make: MakeClassifier) -> None:
    classifier = make(build.raw())
    classifier.load()
    with_model(classifier, Failing(torch_module().OutOfMemoryError("CUDA out of memory. Tried …")))
    with pytest.raises(ClassificationError, match=r"no memory left .*max_batch"):
        classifier.classify([noise(1.0)])


@pytest.mark.parametrize("failure", [RuntimeError("boom\nat line 3"), MemoryError()])
def test_a_model_that_fails_is_an_error_of_the_classification(
    build: CheckpointBuilder, make: MakeClassifier, failure: Exception
) -> None:
    classifier = make(build.raw())
    classifier.load()
    with_model(classifier, Failing(failure))
    with pytest.raises(ClassificationError, match=r"the model failed: (boom|MemoryError)$"):
        classifier.classify([noise(1.0)])


def test_threads_are_as_many_as_configured_in_every_thread(build: CheckpointBuilder, make: MakeClassifier) -> None:
    classifier = make(build.raw())  # with threads=1
    classifier.load()
    seen: list[int] = []
    stage = threading.Thread(target=lambda: seen.append(torch_module().get_num_threads()))
    stage.start()
    stage.join()
    assert seen == [1]
