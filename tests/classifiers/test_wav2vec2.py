"""The classifier as a plugin: its keys, where its model lies, and everything that it refuses to load."""

from __future__ import annotations

import csv
import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from ser_agent.audio import Utterance
from ser_agent.audio_files import read_utterance
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.errors import ClassificationError, MissingExtraError, ModelError
from ser_agent.ports import EmotionClassifier, PluginContext, distribution_of
from ser_agent.testing import check_classifier, utterance

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.checkpoints import CheckpointBuilder, MakeClassifier


def changed(folder: Path, file: str = "config.json", **changes: Any) -> Path:  # noqa: ANN401
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    return folder


def cut_short(folder: Path) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    return folder


def filled_with_nan(build: CheckpointBuilder) -> Path:
    folder = build.raw()
    build.save_weights(folder, {key: value * float("nan") for key, value in build.weights(folder).items()})
    return folder


def without(folder: Path, file: str) -> Path:
    (folder / file).unlink()
    return folder


Refusal = tuple["Callable[[CheckpointBuilder], Path]", dict[str, Any], tuple[str, ...]]

REFUSALS: dict[str, Refusal] = {
    "no weights": (lambda b: without(b.raw(), "model.safetensors"), {}, ("no weights", "model.safetensors")),
    "pickled weights": (lambda b: b.pickled(), {}, ("only as pytorch_model.bin", "run code")),
    "damaged weights": (lambda b: cut_short(b.raw()), {}, ("damaged", "Fetch it again")),
    "weights that are not numbers": (filled_with_nan, {}, ("trial", "not a number")),
    "an encoder alone": (lambda b: b.encoder_alone(), {}, ("projector.weight", "random", "never trained")),
    "a head of another shape": (
        lambda b: changed(b.raw(), id2label={"0": "sad", "1": "happy"}, label2id={"sad": 0, "happy": 1}),
        {},
        ("classifier.weight", "another shape"),
    ),
    "layers left out": (lambda b: changed(b.raw(), num_hidden_layers=1), {}, ("encoder.layers.1", "left out")),
    "a head as ehcalabres has it": (lambda b: b.custom_head("output"), {}, ("classifier.output", "its author's")),
    "max pooling": (lambda b: b.custom_head(pooling_mode="max"), {}, ("classifier.out_proj", "its author's")),
    "regression": (lambda b: b.raw(problem_type="regression"), {}, ("regression", "no probabilities")),
    "dimensions": (
        lambda b: b.custom_head(id2label={"0": "arousal", "1": "dominance", "2": "valence"}),
        {},
        ("regression", "arousal, dominance, valence"),
    ),
    "several labels at a time": (
        lambda b: b.raw(problem_type="multi_label_classification"),
        {},
        ("exclude one another",),
    ),
    "bare labels": (lambda b: b.raw(labels=("LABEL_0", "LABEL_1")), {}, ("labels: {LABEL_0: …, LABEL_1: …}",)),
    "bare labels, one unnamed": (
        lambda b: b.raw(labels=("LABEL_0", "LABEL_1")),
        {"labels": {"LABEL_0": "angry"}},
        ("labels: {LABEL_1: …}",),
    ),
    "a name for a label that is not there": (lambda b: b.raw(), {"labels": {"9": "calm"}}, ("names 9", "3 (sad)")),
    "8 kHz": (lambda b: b.raw(rate=8000), {}, ("8000 Hz", "16000 Hz")),
    "SpeechBrain": (lambda b: b.foreign({"hyperparams.yaml": "", "model.ckpt": ""}), {}, ("SpeechBrain",)),
    "emotion2vec": (lambda b: b.foreign({"configuration.json": "{}", "model.pt": ""}), {}, ("FunASR",)),
    "no JSON": (lambda b: b.foreign({"config.json": "{oops"}), {}, ("config.json is not JSON",)),
    "no extractor": (lambda b: without(b.raw(), "preprocessor_config.json"), {}, ("no preprocessor_config.json",)),
    "a model of text": (lambda b: b.raw(model_type="bert"), {}, ("cannot be loaded", "BertConfig")),
    "an unknown model": (lambda b: b.raw(model_type="novel"), {}, ("cannot be loaded", "novel")),
    "code of its author": (
        lambda b: b.raw(model_type="novel", auto_map={"AutoConfig": "own.Config"}),
        {},
        ("cannot be loaded", "code"),
    ),
    "an index that is a list": (lambda b: changed(b.raw(), id2label=["a", "b"]), {}, ("cannot be loaded",)),
    "a temperature of zero": (
        lambda b: b.raw(ser_agent={"calibration": {"temperature": 0}}),
        {},
        ("config.json: ser_agent.calibration.temperature", "greater than 0"),
    ),
    "a bias for a label that is not there": (
        lambda b: b.raw(ser_agent={"calibration": {"bias": {"angry": 1.0}}}),
        {},
        ("config.json: ser_agent.calibration.bias names angry", "ang, hap, neu, sad"),
    ),
    "a prior without one of the labels": (
        lambda b: b.raw(ser_agent={"prior": {"home": {"ang": 0.1, "hap": 0.1, "neu": 0.8}}}),
        {},
        ("config.json: ser_agent.prior.home leaves out sad",),
    ),
    "no label of speech": (
        lambda b: b.raw(ser_agent={"non_speech": ["ang", "hap", "neu", "sad"]}),
        {},
        ("config.json: ser_agent.non_speech leaves no label",),
    ),
    "a prior of homes that it does not tell": (lambda b: b.raw(), {"prior": "home"}, ("no ser_agent.prior.home",)),
    "a prior for a label that is not there": (
        lambda b: b.raw(),
        {"prior": {"ang": 1.0, "hap": 1.0, "neu": 1.0, "sad": 1.0, "calm": 1.0}},
        ("classifier.prior names calm", "ang, hap, neu, sad"),
    ),
    "a GPU that is not there": (lambda b: b.raw(), {"device": "cuda:99"}, ("cuda:99", "auto")),
}


@pytest.mark.model
@pytest.mark.parametrize("case", REFUSALS)
def test_what_would_silently_be_wrong_is_refused(
    build: CheckpointBuilder, make: MakeClassifier, case: str
) -> None:
    written, options, words = REFUSALS[case]
    folder = written(build)
    with pytest.raises(ModelError) as raised:
        make(folder, **options).load()
    for word in (f"model {folder.name}", *words):
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_not_there_is_refused(
    make: MakeClassifier, build: CheckpointBuilder, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=f"no folder {tmp_path}/models/mine/first"):
        make("models/mine/first").load()


def test_it_serves_the_port() -> None:
    assert isinstance(Wav2Vec2Classifier, EmotionClassifier)


@pytest.mark.model
def test_a_relative_folder_counts_from_the_configurations(build: CheckpointBuilder, make: MakeClassifier) -> None:
    folder = build.raw()
    assert make(folder.name).load().name == folder.name


@pytest.mark.model
def test_a_checkpoint_tells_its_name_and_revision(build: CheckpointBuilder, make: MakeClassifier) -> None:
    told = {"name": "mine", "revision": 7, "licence": "MIT", "languages": ["en"], "uncertain_below": 0.45}
    info = make(build.raw(ser_agent=told)).load()
    assert (info.name, info.licence, info.languages) == ("mine@7", "MIT", ("en",))
    assert info.uncertain_below == 0.45
    assert info.labels == ("angry", "happy", "neutral", "sad")


@pytest.mark.model
def test_loading_twice_reads_once(build: CheckpointBuilder, make: MakeClassifier) -> None:
    folder = build.raw()
    classifier = make(folder)
    first = classifier.load()
    without(folder, "config.json")
    assert classifier.load() == first


@pytest.mark.model
def test_it_answers_no_longer_once_closed(build: CheckpointBuilder, make: MakeClassifier) -> None:
    classifier = make(build.raw())
    with pytest.raises(ClassificationError, match="not loaded"):
        classifier.classify([utterance()])
    classifier.load()
    classifier.close()
    with pytest.raises(ClassificationError, match="not loaded"):
        classifier.classify([utterance()])


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_package_that_is_missing_is_named_with_its_extra(
    make: MakeClassifier, monkeypatch: pytest.MonkeyPatch, package: str, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "ser_agent.classifiers.checkpoint", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"'{package}'.*ser-agent\[torch\]"):
        make(tmp_path, engine="torch").load()


@pytest.mark.parametrize(
    "keys",
    [
        {"device": "gpu"},
        {"device": "cuda:x"},
        {"threads": 0},
        {"max_batch": 0},
        {"top": 0},
        {"min_confidence": 1.5},
        {"model": ""},
        {"labels": {"0": ""}},
        {"labels": ["angry"]},
        {"half": True},
        {"prior": "homes"},
        {"prior": {"angry": 0.0}},
        {"prior": {"angry": "1"}},
        {"prior": ["angry"]},
    ],
)
def test_keys_out_of_range_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Wav2Vec2Options.model_validate_json(json.dumps(keys))


def test_the_defaults_take_the_embedded_model_the_best_device_and_no_network() -> None:
    options = Wav2Vec2Options()
    assert (options.model, options.device, options.allow_download) == ("embedded", "auto", False)
    assert (options.top, options.min_confidence, options.prior) == (3, None, None)


def test_a_prior_is_a_word_or_proportions() -> None:
    for prior in (None, "trained", "home", {"angry": 1.0, "sad": 0.5}):
        assert Wav2Vec2Options.model_validate_json(json.dumps({"prior": prior})).prior == prior


@pytest.fixture
def embedded() -> Wav2Vec2Classifier:
    """The embedded model, loaded."""
    if not (files("ser_agent") / "model" / "model.safetensors").is_file():
        pytest.skip("the embedded model is not here")
    classifier = Wav2Vec2Classifier(Wav2Vec2Options(device="cpu", threads=1), PluginContext("test", Path.cwd()))
    classifier.load()
    return classifier


@pytest.mark.model
def test_the_embedded_model_keeps_the_promises_of_a_classifier(embedded: Wav2Vec2Classifier) -> None:
    assert embedded.load().name.startswith("embedded@")
    check_classifier(embedded)


@pytest.mark.model
@pytest.mark.corpora
def test_the_embedded_model_hears_strangers_far_better_than_chance(
    embedded: Wav2Vec2Classifier, corpora: Path
) -> None:
    labels = embedded.load().labels
    with (corpora / "manifest.csv").open(encoding="utf-8", newline="") as file:
        strangers = [row for row in csv.DictReader(file) if row["split"] == "dev" and row["emotion"] in labels]
    chosen = strangers[:: len(strangers) // 75]
    sounds = [read_utterance(corpora / row["path"]) for row in chosen]
    heard = embedded.classify([Utterance(sound, 0, "silence", captured_at=0.0, closed_at=1.0) for sound in sounds])
    scores = [distribution_of(answer) for answer in heard]
    best = [None if one is None else max(one, key=one.__getitem__) for one in scores]
    right = sum(label == row["emotion"] for label, row in zip(best, chosen, strict=True))
    assert right > 0.4 * len(chosen), f"{right} of {len(chosen)}; chance is one in {len(labels)}"
