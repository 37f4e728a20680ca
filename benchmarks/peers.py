"""The same clips in the same run: this agent's classifier beside what one would otherwise take.

    python -m benchmarks.peers [--rounds 5]

Everything has one thread of the processor, and takes turns clip by clip, so that the machine's moods hit all the
same. The ratios are of one round's sums; their spread is that of the rounds. Peers that hear arrays get arrays.
openSMILE is measured where the extra `benchmarks` is installed.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import librosa
import numpy as np
import soundfile
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from transformers import (
    AutoModelForAudioClassification,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
    pipeline,
)

from benchmarks.readme import peers_table
from ser_agent.audio import SAMPLE_RATE, Utterance, float_from_pcm16
from ser_agent.classifiers.onnx_folder import embedded_folder
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.cli.engines import speech
from ser_agent.cli.listening import FileReader
from ser_agent.testing import context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from ser_agent.audio import Samples

RESULTS = Path(__file__).parent / "results" / "peers.json"
CLIP_S = 3.0
CLIPS = 6
LENGTHS_S = (1, 3, 10, 30, 60)
FILES = (10, 100, 1000)
OURS = "ours, int8"
_EGEMAPS = 88


def main() -> None:
    """Measure everything, print a table, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        clips = list(write_clips(Path(scratch), CLIPS))
        files = measure_files(Path(scratch))  # first: the peers' peaks of memory would hide that it doesn't grow
        ways = peers()
        figures = {
            "clip_s": CLIP_S,
            "rounds": args.rounds,
            "seconds_a_clip": compared(ways, clips, args.rounds),
            "seconds_by_length": by_length({name: ways[name] for name in (OURS, "pipeline, our checkpoint")}),
            "files": files,
        }
    RESULTS.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(peers_table(figures))
    print(json.dumps({"seconds_by_length": figures["seconds_by_length"], "files": files}))


def write_clips(folder: Path, count: int) -> Iterator[Path]:
    """Different stretches of the bundled conversation as files."""
    whole = speech(60.0)
    step = (len(whole) - round(CLIP_S * SAMPLE_RATE)) // count
    for number in range(count):
        path = folder / f"{number:04}.wav"
        soundfile.write(path, whole[number * step :][: round(CLIP_S * SAMPLE_RATE)], SAMPLE_RATE)
        yield path


def peers() -> Mapping[str, Callable[[Path], object]]:
    """Everything that is compared, by name: what hears a file."""
    ours, exact = light("int8"), light("float32")
    model = AutoModelForAudioClassification.from_pretrained(embedded_folder(), dtype=torch.float32).eval()
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(embedded_folder())
    base = Wav2Vec2ForSequenceClassification(Wav2Vec2Config(id2label=dict(enumerate("abcdefg")))).eval()
    theirs = pipeline("audio-classification", model=model, feature_extractor=extractor)
    large = pipeline("audio-classification", model=base, feature_extractor=Wav2Vec2FeatureExtractor())

    def paper(path: Path) -> object:
        sound, _ = librosa.load(path, sr=SAMPLE_RATE)
        inputs = extractor(sound, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        with torch.no_grad():
            return model(**inputs).logits.softmax(dim=-1)

    ways: dict[str, Callable[[Path], object]] = {
        OURS: lambda path: ours(read(path)),
        "ours, float32": lambda path: exact(read(path)),
        "pipeline, our checkpoint": lambda path: theirs(float_from_pcm16(read(path))),
        "pipeline, wav2vec2-base's shape": lambda path: large(float_from_pcm16(read(path))),
        "librosa and the model, file by file": paper,
    }
    if find_spec("opensmile"):
        ways["openSMILE eGeMAPS and SVM"] = egemaps_and_svm()
    return ways


def light(precision: str) -> Callable[[Samples], object]:
    """The agent's classifier in ONNX Runtime."""
    options = Wav2Vec2Options.model_validate({"engine": "onnx", "precision": precision, "threads": 1})
    classifier = Wav2Vec2Classifier(options, context())
    classifier.load()
    return lambda samples: classifier.classify(
        [Utterance(samples, 0, "silence", captured_at=0.0, closed_at=len(samples) / SAMPLE_RATE)]
    )


def egemaps_and_svm() -> Callable[[Path], object]:
    """Functionals of eGeMAPSv02, and a support vector machine of the size that some thousand clips give."""
    import opensmile  # noqa: PLC0415 - an extra

    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=opensmile.FeatureLevel.Functionals
    )
    rng = np.random.default_rng(0)
    machine = make_pipeline(StandardScaler(), SVC(probability=False))
    machine.fit(rng.normal(size=(3000, _EGEMAPS)), rng.integers(0, 7, 3000))
    return lambda path: machine.predict(smile.process_signal(float_from_pcm16(read(path)), SAMPLE_RATE).to_numpy())


def read(path: Path) -> NDArray[np.int16]:
    """A clip, int16."""
    samples, _ = soundfile.read(path, dtype="int16")
    return np.asarray(samples)


def compared(
    ways: Mapping[str, Callable[[Path], object]], clips: list[Path], rounds: int
) -> dict[str, dict[str, float]]:
    """Median seconds for a clip, and how many times ours they are: the least, middle and largest of the rounds."""
    times = {name: np.zeros(rounds + 1) for name in ways}
    for turn in range(rounds + 1):
        for clip in clips:
            for name, hear in ways.items():
                began = time.perf_counter()
                hear(clip)
                times[name][turn] += (time.perf_counter() - began) / len(clips)
    figures = {}
    for name, taken in times.items():
        ratios = taken[1:] / times[OURS][1:]  # the first round warms up
        figures[name] = {
            "seconds": round(float(np.median(taken[1:])), 4),
            "times_ours": round(float(np.median(ratios)), 2),
            "times_ours_least": round(float(ratios.min()), 2),
            "times_ours_most": round(float(ratios.max()), 2),
        }
    return figures


def by_length(ways: Mapping[str, Callable[[Path], object]]) -> dict[str, dict[str, float]]:
    """Least seconds of three tries for utterances of several lengths."""
    figures: dict[str, dict[str, float]] = {name: {} for name in ways}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "clip.wav"
        for length_s in LENGTHS_S:
            soundfile.write(path, speech(length_s), SAMPLE_RATE)
            for name, hear in ways.items():
                figures[name][str(length_s)] = round(min(timed(lambda hear=hear: hear(path)) for _ in range(3)), 4)  # type: ignore[misc]
    return figures


def measure_files(folder: Path) -> dict[str, Any]:
    """Files a second and MiB of memory for folders of several sizes, heard as ``ser-agent classify`` does."""
    options = Wav2Vec2Options(engine="onnx", threads=1)
    classifier = Wav2Vec2Classifier(options, context())
    classifier.load()
    figures: dict[str, Any] = {}
    clips = [folder / f"{number:04}.wav" for number in range(CLIPS)]
    for count in FILES:
        names = [str(clips[number % CLIPS]) for number in range(count)]
        began = time.perf_counter()
        batch: list[Utterance] = []
        for _, utterance in FileReader(names).whole():
            batch.append(utterance)
            if len(batch) == 16:
                classifier.classify(batch)
                batch.clear()
        if batch:
            classifier.classify(batch)
        taken = time.perf_counter() - began
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures[str(count)] = {"files_a_second": round(count / taken, 1), "peak_mb": round(peak_mb)}
    classifier.close()
    return figures


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
