"""The same clips in the same run: this agent's classifier beside what one would otherwise take; how costs grow.

    python -m benchmarks.peers [--rounds 5] [--only clips lengths files streams] [--files 10 100] [--streams 1 4]

Everything has one thread, and takes turns clip by clip, so that the machine's moods hit all the same. What is
counted is the processor's time: that of a busy machine is little longer, while the clock on the wall tells of its
neighbours. The ratios are of one round's sums; their spread is that of the rounds. Peers that hear arrays get
arrays. openSMILE is measured where the extra `benchmarks` is installed. What `--only` leaves out stays as it was
recorded.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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

from benchmarks.peers_files import CLIP_S, FILES, measure_files, write_clips
from benchmarks.peers_streams import STREAMS, measure_streams
from ser_agent.audio import SAMPLE_RATE, Utterance, float_from_pcm16
from ser_agent.classifiers.onnx_folder import embedded_folder
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.cli.engines import speech
from ser_agent.testing import context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from ser_agent.audio import Samples

    Way = Callable[[Path], object]

RESULTS: Final = Path(__file__).parent / "results" / "peers.json"
CLIPS: Final = 6
LENGTHS_S: Final = (1, 3, 10, 30, 60)
LENGTH_ROUNDS: Final = 3
OURS: Final = "ours, int8"
PIPELINE: Final = "pipeline, our checkpoint"
PAPER: Final = "librosa and the model, file by file"
PARTS: Final = ("streams", "clips", "lengths", "files")
_EGEMAPS: Final = 88


def main() -> None:
    """Measure, print, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="of the clips")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure these alone")
    parser.add_argument("--files", type=int, nargs="+", default=list(FILES), help="sizes of folders")
    parser.add_argument("--streams", type=int, nargs="+", default=list(STREAMS), help="numbers of streams")
    args = parser.parse_args()
    torch.set_num_threads(1)
    ways = peers()
    measures: dict[str, Callable[[], Any]] = {
        "streams": lambda: measure_streams(args.streams),
        "clips": lambda: compared(ways, args.rounds),
        "lengths": lambda: by_length(ways[OURS], ways[PIPELINE]),
        "files": lambda: measure_files(args.files, ways[PAPER]),
    }
    for part in args.only:
        figures = measures[part]()
        keep(part, figures)
        print(part, json.dumps(figures), flush=True)
    print("for the README: python -m benchmarks.readme")


def keep(part: str, figures: object) -> None:
    """Put one part's figures among those recorded."""
    recorded = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    recorded[part] = figures
    merged = {name: recorded[name] for name in PARTS if name in recorded}
    RESULTS.write_text(json.dumps(merged, indent=2) + "\n", encoding="utf-8")


def peers() -> Mapping[str, Way]:
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

    ways: dict[str, Way] = {
        OURS: lambda path: ours(read(path)),
        "ours, float32": lambda path: exact(read(path)),
        PIPELINE: lambda path: theirs(float_from_pcm16(read(path))),
        "pipeline, wav2vec2-base's shape": lambda path: large(float_from_pcm16(read(path))),
        PAPER: paper,
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


def egemaps_and_svm() -> Way:
    """Functionals of eGeMAPSv02, and a support vector machine of the size that some thousand clips give."""
    import opensmile  # noqa: PLC0415 - an extra

    smile = opensmile.Smile(
        feature_set=opensmile.FeatureSet.eGeMAPSv02, feature_level=opensmile.FeatureLevel.Functionals
    )
    rng = np.random.default_rng(0)
    machine = make_pipeline(StandardScaler(), SVC())
    machine.fit(rng.normal(size=(3000, _EGEMAPS)), rng.integers(0, 7, 3000))
    return lambda path: machine.predict(smile.process_signal(float_from_pcm16(read(path)), SAMPLE_RATE).to_numpy())


def read(path: Path) -> NDArray[np.int16]:
    """A clip, int16."""
    samples, _ = soundfile.read(path, dtype="int16")
    return np.asarray(samples)


def compared(ways: Mapping[str, Way], rounds: int) -> dict[str, Any]:
    """Median seconds for a clip, and how many times ours they are: the least, middle and largest of the rounds."""
    with tempfile.TemporaryDirectory() as scratch:
        times = in_turns(ways, write_clips(Path(scratch) / "clips", CLIPS), rounds)
    seconds = {
        name: {"seconds": round(float(np.median(taken)), 4), **ratios(taken, times[OURS])}
        for name, taken in times.items()
    }
    return {"clip_s": CLIP_S, "rounds": rounds, "seconds_a_clip": seconds}


def by_length(ours: Way, theirs: Way) -> dict[str, Any]:
    """Seconds for utterances of several lengths, and how many times ours the pipeline takes."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "clip.wav"
        for length_s in LENGTHS_S:
            soundfile.write(path, speech(length_s), SAMPLE_RATE)
            times = in_turns({OURS: ours, PIPELINE: theirs}, [path], LENGTH_ROUNDS)
            seconds = {name: round(float(np.median(taken)), 4) for name, taken in times.items()}
            figures[str(length_s)] = {"seconds": seconds, **ratios(times[PIPELINE], times[OURS])}
            print(length_s, figures[str(length_s)], flush=True)
    return figures


def in_turns(ways: Mapping[str, Way], clips: Sequence[Path], rounds: int) -> dict[str, NDArray[np.float64]]:
    """Processor seconds that each way takes for a clip, shape ``(rounds,)``."""
    times = {name: np.zeros(rounds + 1) for name in ways}
    for turn in range(rounds + 1):
        for clip in clips:
            for name, hear in ways.items():
                began_s = time.process_time()
                hear(clip)
                times[name][turn] += (time.process_time() - began_s) / len(clips)
    return {name: taken[1:] for name, taken in times.items()}  # the first round warms up


def ratios(taken: NDArray[np.float64], ours: NDArray[np.float64]) -> dict[str, float]:
    """How many times ours something takes."""
    times = taken / ours
    return {
        "times_ours": round(float(np.median(times)), 2),
        "times_ours_least": round(float(times.min()), 2),
        "times_ours_most": round(float(times.max()), 2),
    }


if __name__ == "__main__":
    main()
