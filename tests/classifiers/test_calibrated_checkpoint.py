"""A checkpoint whose ``config.json`` tells of calibration, prior and non-speech, compared with the arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.answers import classified

from ser_agent.audio import SAMPLE_RATE, Utterance
from ser_agent.ports import NON_SPEECH
from ser_agent.testing import check_classifier

if TYPE_CHECKING:
    from support.checkpoints import CheckpointBuilder, MakeClassifier

    from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier

pytestmark = pytest.mark.model

EMOTIONS = ("ang", "dis", "fea", "hap", "neu", "sad", "sur")
LABELS = (*EMOTIONS[:3], "noise", *EMOTIONS[3:])
NAMES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
NEVER, ALWAYS = -1e3, 1e3
BIAS = {"ang": -0.1, "noise": NEVER, "sad": 0.4}
HOME = {"ang": 0.05, "dis": 0.02, "fea": 0.03, "hap": 0.2, "neu": 0.6, "sad": 0.06, "sur": 0.04}
TRAINED = {"ang": 2, "dis": 1, "fea": 1, "hap": 2, "neu": 2, "sad": 1, "sur": 1}
TOLD: dict[str, Any] = {
    "calibration": {"temperature": 1.3, "bias": BIAS},
    "prior": {"home": HOME, "trained": TRAINED},
    "non_speech": ["noise"],
}


def told_noise(bias: float) -> dict[str, Any]:
    """A model to which noise is certain, or certainly not meant."""
    return {"calibration": {"bias": {"noise": bias}}, "non_speech": ["noise"]}


def noises(count: int = 4) -> list[Utterance]:
    rng = np.random.default_rng(3)
    lengths = np.linspace(0.8, 1.6, count)
    sounds = [rng.normal(0, 3000, round(length * SAMPLE_RATE)).astype(np.int16) for length in lengths]
    return [Utterance(sound, 0, "silence", captured_at=0.0, closed_at=0.0) for sound in sounds]


def plain(build: CheckpointBuilder, make: MakeClassifier) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Logarithms of what the same weights say where the author tells nothing, shape ``(utterances, labels)``."""
    classifier = loaded(make(build.raw(labels=LABELS), keep_labels=True))
    return np.log([[heard[label] for label in LABELS] for heard in classified(classifier, noises())])


def loaded(classifier: Wav2Vec2Classifier) -> Wav2Vec2Classifier:
    classifier.load()
    return classifier


@pytest.mark.parametrize("prior", [None, "home", "trained", HOME])
def test_what_is_told_is_applied_in_order(build: CheckpointBuilder, make: MakeClassifier, prior: object) -> None:
    classifier = loaded(make(build.raw(labels=LABELS, ser_agent=TOLD), prior=prior))
    ratios = {label: HOME[label] / (TRAINED[label] / 10) for label in EMOTIONS} if prior != "trained" else {}
    offsets = [BIAS.get(label, 0.0) + np.log(ratios.get(label, 1.0)) for label in LABELS]
    weights = np.delete(np.exp(plain(build, make) / 1.3 + offsets), LABELS.index("noise"), axis=1)
    expected = weights / weights.sum(axis=1, keepdims=True)
    for heard, row in zip(classified(classifier, noises()), expected, strict=True):
        assert heard == pytest.approx(dict(zip(NAMES, row, strict=True)), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ({}, NAMES),
        ({"keep_labels": True}, EMOTIONS),
        ({"labels": {"ang": "cross", "4": "cross"}}, ("cross", "disgust", "fear", "neutral", "sad", "surprise")),
        ({"labels": {"noise": "neutral", "sad": "blue"}}, (*NAMES[:5], "blue", "surprise")),
        ({"labels": {"3": "hum"}, "keep_labels": True}, EMOTIONS),
    ],
)
def test_the_labels_of_non_speech_are_in_no_event_whatever_they_are_called(
    build: CheckpointBuilder, make: MakeClassifier, options: dict[str, Any], labels: tuple[str, ...]
) -> None:
    folder = build.raw(labels=LABELS, ser_agent=told_noise(NEVER))
    assert make(folder, **options).load().labels == labels
    check_classifier(make(folder, **options))
    for heard in classified(loaded(make(folder, **options)), noises()):
        assert tuple(heard) == labels
        assert sum(heard.values()) == pytest.approx(1.0)


def test_a_label_of_non_speech_needs_no_name(build: CheckpointBuilder, make: MakeClassifier) -> None:
    folder = build.raw(labels=("angry", "sad", "LABEL_2"), ser_agent={"non_speech": ["LABEL_2"]})
    assert make(folder).load().labels == ("angry", "sad")


def test_a_model_that_hears_noise_says_so_and_keeps_the_promises_of_a_classifier(
    build: CheckpointBuilder, make: MakeClassifier
) -> None:
    folder = build.raw(labels=LABELS, ser_agent=told_noise(ALWAYS))
    assert loaded(make(folder)).classify(noises()) == [NON_SPEECH] * 4
    check_classifier(make(folder))


def test_each_utterance_is_judged_by_itself(build: CheckpointBuilder, make: MakeClassifier) -> None:
    """A bias halfway between the utterances' margins makes some noise and some speech."""
    logits = plain(build, make)
    at = LABELS.index("noise")
    margins = np.delete(logits, at, axis=1).max(axis=1) - logits[:, at]
    ordered = np.sort(margins)
    folder = build.raw(labels=LABELS, ser_agent=told_noise(float(ordered[1:3].mean())))
    answers = loaded(make(folder)).classify(noises())
    assert [answer is NON_SPEECH for answer in answers] == list(margins < ordered[1:3].mean())


def test_without_the_mapping_a_label_called_noise_is_one_like_the_others(
    build: CheckpointBuilder, make: MakeClassifier
) -> None:
    folder = build.raw(labels=LABELS)
    assert "noise" in make(folder).load().labels
    check_classifier(make(folder))
