"""How well each detector tells speech from noise, through the agent's own segmenter.

    python -m benchmarks.vad [--sweep] [--vad NAME …]

For each detector: the part of noise clips that become an utterance (all, and without those that people make), the
part of emotional clips by ``dev`` speakers that do (all; angry and fearful), precision and recall in meetings with
known speech (of hops over the threshold, and of hops inside utterances; gaps of up to half a second bridged, in
the truth too), and microseconds a hop. Every clip is a stream of its own, ended by the end of the stream.
Probabilities are kept in ``benchmarks/.cache``: they do not depend on the
segmenter, so ``--sweep`` tries many durations and thresholds in little time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import track

from benchmarks.corpora import CORPORA, HUMAN_NOISES, noise_clips, read, speech_clips
from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE, Utterance
from ser_agent.plugins import available
from ser_agent.segmenter import Hop, Segmenter, SegmenterOptions
from ser_agent.testing import context
from training.markdown import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from ser_agent.audio import Samples
    from ser_agent.ports import VoiceActivityDetector

CACHE = Path(__file__).parent / ".cache"
RESULTS = Path(__file__).parent / "results" / "vad.json"
DETECTORS: dict[str, dict[str, Any]] = {
    "webrtc-2": {"type": "webrtc", "aggressiveness": 2},
    "webrtc-3": {"type": "webrtc", "aggressiveness": 3},
    "energy": {"type": "energy"},
    "silero": {"type": "silero"},
    "cascade": {"type": "cascade"},
}
BRIDGED_S = 0.5
SWEEP = {
    "threshold": (0.3, 0.4, 0.5, 0.6),
    "onset_ms": (32, 64, 90, 120),
    "min_speech_ms": (100, 160, 200, 250, 300),
    "hangover_ms": (500,),
}


@dataclass(frozen=True, slots=True)
class Clip:
    """One stream.

    Attributes:
        path: its file.
        group: ``noise``, ``emotional`` or ``meeting``.
        kind: class of noise, or emotion.
        probabilities: for each hop, by detector.
        hops: how many.
    """

    path: Path
    group: str
    kind: str
    probabilities: dict[str, NDArray[np.float32]]

    @property
    def hops(self) -> int:
        """Length in hops."""
        return len(next(iter(self.probabilities.values())))


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vad", action="append", choices=list(DETECTORS), help="only these detectors")
    parser.add_argument("--sweep", action="store_true", help="try durations and thresholds instead")
    args = parser.parse_args()
    names = args.vad or list(DETECTORS)
    clips = load_clips(names)
    if args.sweep:
        sweep(clips, names)
        return
    defaults = {name: figures(clips, name, SegmenterOptions(), threshold_of(name)) for name in names}
    for name in names:
        defaults[name]["us_per_hop"] = speed(name)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(defaults, indent=2) + "\n", encoding="utf-8")
    rows = [[name, *row.values()] for name, row in defaults.items()]
    print(table(["detector", *next(iter(defaults.values()))], rows))


def figures(clips: Sequence[Clip], detector: str, options: SegmenterOptions, threshold: float) -> dict[str, float]:
    """All figures of one detector with one setting."""
    found = {id(clip): utterances(clip, detector, options, threshold) for clip in clips}

    def share(chosen: Iterable[Clip]) -> float:
        return round(float(np.mean([bool(found[id(clip)]) for clip in chosen])), 4)

    noise = [clip for clip in clips if clip.group == "noise"]
    emotional = [clip for clip in clips if clip.group == "emotional"]
    meetings = [clip for clip in clips if clip.group == "meeting"]
    truth = [bridged(speech_truth(clip.path.with_suffix(".rttm"), clip.hops)) for clip in meetings]
    hops = precision_recall(truth, [bridged(clip.probabilities[detector] >= threshold) for clip in meetings])
    covered = precision_recall(truth, [bridged(coverage(found[id(clip)], clip.hops)) for clip in meetings])
    return {
        "noise": share(noise),
        "noise_not_human": share(clip for clip in noise if clip.kind not in HUMAN_NOISES),
        "emotional": share(emotional),
        "angry_or_fearful": share(clip for clip in emotional if clip.kind in {"angry", "fear"}),
        "meeting_hops_precision": hops[0],
        "meeting_hops_recall": hops[1],
        "meeting_utterances_precision": covered[0],
        "meeting_utterances_recall": covered[1],
    }


def utterances(clip: Clip, detector: str, options: SegmenterOptions, threshold: float) -> list[Utterance]:
    """What the segmenter makes of a clip."""
    segmenter = Segmenter(options, threshold)
    blank = np.zeros(HOP_SAMPLES, dtype=np.int16)
    found = []
    for index, probability in enumerate(clip.probabilities[detector]):
        offset = index * HOP_SAMPLES
        found += list(segmenter.push(Hop(blank, offset, offset / SAMPLE_RATE, float(probability))))
    found += list(segmenter.finish("end_of_stream"))
    return [output for output in found if isinstance(output, Utterance)]


def coverage(found: Iterable[Utterance], hops: int) -> NDArray[np.bool_]:
    """Which hops lie in an utterance."""
    mask = np.zeros(hops, dtype=bool)
    for utterance in found:
        mask[utterance.offset // HOP_SAMPLES : (utterance.offset + len(utterance.samples)) // HOP_SAMPLES] = True
    return mask


def precision_recall(
    truth: Iterable[NDArray[np.bool_]], claims: Iterable[NDArray[np.bool_]]
) -> tuple[float, float]:
    """Precision and recall of hops, pooled over all clips."""
    hits = claimed = true = 0
    for spoken, said in zip(truth, claims, strict=True):
        hits += int((said & spoken).sum())
        claimed += int(said.sum())
        true += int(spoken.sum())
    return round(hits / max(1, claimed), 4), round(hits / max(1, true), 4)


def speech_truth(rttm: Path, hops: int) -> NDArray[np.bool_]:
    """Which hops hold speech, by the meeting's turns."""
    truth = np.zeros(hops, dtype=bool)
    for line in rttm.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        start_s, duration_s = float(fields[3]), float(fields[4])
        truth[
            round(start_s * SAMPLE_RATE / HOP_SAMPLES) : round((start_s + duration_s) * SAMPLE_RATE / HOP_SAMPLES)
        ] = 1
    return truth


def bridged(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With gaps of up to half a second between true hops made true."""
    result = mask.copy()
    where = np.flatnonzero(mask)
    for before, after in itertools.pairwise(where):
        if 1 < after - before <= BRIDGED_S * SAMPLE_RATE / HOP_SAMPLES:
            result[before:after] = True
    return result


def sweep(clips: Sequence[Clip], names: Sequence[str]) -> None:
    """Print the figures of all combinations of durations and thresholds, for choosing the defaults."""
    rows = []
    for name, values in itertools.product(names, itertools.product(*SWEEP.values())):
        chosen = dict(zip(SWEEP, values, strict=True))
        threshold = float(chosen.pop("threshold"))
        result = figures(clips, name, SegmenterOptions(**{k: int(v) for k, v in chosen.items()}), threshold)
        rows.append([name, threshold, *chosen.values(), *result.values()])
    print(table(["detector", *SWEEP, *figures(clips, names[0], SegmenterOptions(), 0.5)], rows))


def load_clips(names: Sequence[str]) -> list[Clip]:
    """All clips with the probabilities of the detectors named, from the cache or computed."""
    wanted = [("noise", clip.kind, clip.path) for clip in noise_clips()]
    wanted += [("emotional", clip.emotion, clip.path) for clip in speech_clips("dev")]
    wanted += [("meeting", "", path) for path in sorted((CORPORA / "vad-truth" / "ami").glob("*.opus"))]
    CACHE.mkdir(exist_ok=True)
    tables = {name: cached(name, [path for _, _, path in wanted]) for name in names}
    return [
        Clip(path, group, kind, {name: table[str(path.relative_to(CORPORA))] for name, table in tables.items()})
        for group, kind, path in wanted
    ]


def cached(name: str, paths: Sequence[Path]) -> dict[str, NDArray[np.float32]]:
    """Probabilities of one detector for every file."""
    store = CACHE / f"vad-{name}.npz"
    if store.exists():
        with np.load(store) as table:
            return dict(table)
    detector = make(name)
    table = {
        str(path.relative_to(CORPORA)): probabilities(detector, read(path))
        for path in track(paths, description=name)
    }
    np.savez_compressed(store, **table)
    return table


def probabilities(detector: VoiceActivityDetector, samples: Samples) -> NDArray[np.float32]:
    """One for each hop; the last one is filled up with silence."""
    hops = np.pad(samples, (0, -len(samples) % HOP_SAMPLES)).reshape(-1, HOP_SAMPLES)
    detector.reset()
    return np.array([detector.probability(hop) for hop in hops], dtype=np.float32)


def speed(name: str, seconds: float = 20.0) -> float:
    """Microseconds a hop, on the bundled conversation: about half speech."""
    samples = read(Path(__file__).parents[1] / "ser_agent" / "samples" / "conversation.ogg")
    samples = samples[: round(seconds * SAMPLE_RATE)]
    detector = make(name)
    began = time.perf_counter()
    hops = len(probabilities(detector, samples))
    return round(1e6 * (time.perf_counter() - began) / hops, 1)


def make(name: str) -> VoiceActivityDetector:
    """A detector of this benchmark, by its name here."""
    entry = available("vads")[DETECTORS[name]["type"]]
    assert entry.options is not None  # noqa: S101 - the built-in ones load
    assert entry.factory is not None  # noqa: S101 - likewise
    options = entry.options.model_validate(DETECTORS[name])
    detector: VoiceActivityDetector = entry.factory(options, context())
    return detector


def threshold_of(name: str) -> float:
    """The default threshold of a detector of this benchmark."""
    entry = available("vads")[DETECTORS[name]["type"]]
    assert entry.options is not None  # noqa: S101 - the built-in ones load
    return float(entry.options.model_validate(DETECTORS[name]).threshold)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
