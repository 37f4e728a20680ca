"""Puts the recorded figures into the tables of README and docs, between their markers; a test holds them to it.

python -m benchmarks.readme
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.fleet_tables import fleet_tables
from training.corpora import CORPUS_LABELS
from training.markdown import table

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
ASSISTANTS = ROOT / "docs" / "assistants.md"
RELIABILITY = ROOT / "docs" / "reliability.md"
SCALE = ROOT / "docs" / "scale.md"
PAGES: Final = (README, ASSISTANTS, RELIABILITY, SCALE)
RESULTS = ROOT / "training" / "results"
WEIGHTS = ROOT / "ser_agent" / "model" / "model.safetensors"
_CORPORA: Final = {"crema-d": "CREMA-D, English", "ravdess": "RAVDESS, English", "nemo": "nEMO, Polish"}
_DETECTORS: Final = {
    "cascade": "`cascade`, the default",
    "silero": "`silero`",
    "energy": "`energy`",
    "webrtc-2": "`webrtc`, aggressiveness 2",
    "webrtc-3": "`webrtc`, aggressiveness 3",
}


def main() -> None:
    """Write the tables."""
    for page in PAGES:
        page.write_text(with_figures(page.read_text(encoding="utf-8"), page), encoding="utf-8")


def with_figures(text: str, page: Path = README) -> str:
    """Replace what stands between the markers ``<!-- NAME -->`` and ``<!-- /NAME -->`` of a page."""
    for name, lines in tables_of(page).items():
        between = re.compile(rf"(?<=<!-- {name} -->\n).*(?=<!-- /{name} -->)", re.DOTALL)
        text, count = between.subn(lines.replace("\\", r"\\") + "\n", text)
        if count != 1:
            raise ValueError(f"{page.name}: no markers for the table {name!r}, or several")
    return text


def tables_of(page: Path) -> dict[str, str]:
    """The tables of a page, by the names of their markers."""
    if page == ASSISTANTS:
        return {"assistants": assistants_table(_results("benchmarks/results/assistants.json"))}
    if page == RELIABILITY:
        load = _results("benchmarks/results/load.json")
        return {"load": load_table(load["rows"]), "overload": load_table(load["overload"])}
    if page == SCALE:
        return fleet_tables(_results("benchmarks/results/fleet.json"))
    model = embedded_results()
    return {
        "model": model_table(
            model["model"]["figures"], _results("training/results/compare.json")["svm"]["corpora"]
        ),
        "detectors": detectors_table(_results("benchmarks/results/vad.json")),
        "performance": performance_table(_results("benchmarks/results/performance.json")),
        **peers_tables(_results("benchmarks/results/peers.json")),
    }


def embedded_results(folder: Path = RESULTS, weights: Path = WEIGHTS) -> Any:  # noqa: ANN401 - JSON
    """The results of the embedded model's very weights.

    Args:
        folder: of the files of results.
        weights: of the embedded model.

    Raises:
        ValueError: there are none.
    """
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    for path in sorted(folder.glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        model = found.get("model", {})
        if model.get("digest") == digest and model["limit"] is None:  # else it was but a trial
            return found
    raise ValueError(f"{folder}: no results of {weights}: run `python -m training evaluate`")


def model_table(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """How well the embedded model hears, beside a support vector machine."""
    header = ["corpus", "UAR", "MFCC + SVM, same clips", "chance", "right one among the top three"]
    rows = [
        [
            f"{name}, {len(CORPUS_LABELS[corpus])} classes",
            f"**{ours['trimmed'][corpus]['uar']:.3f}**",
            f"{theirs[corpus]['uar']:.3f}",
            f"{1 / len(CORPUS_LABELS[corpus]):.3f}",
            f"{ours['trimmed'][corpus]['top3']:.3f}",
        ]
        for corpus, name in _CORPORA.items()
    ]
    return table(header, rows)


def detectors_table(figures: dict[str, dict[str, float]]) -> str:
    """What each detector takes for speech."""
    header = ["detector", "noises that become an utterance", "… not made by people", "emotional clips that do"]
    header += ["angry and fearful ones", "meetings: precision / recall", "µs for 32 ms of conversation"]
    rows = [
        [
            name,
            f"{100 * row['noise']:.1f} %",
            f"{100 * row['noise_not_human']:.1f} %",
            f"{100 * row['emotional']:.1f} %",
            f"{100 * row['angry_or_fearful']:.1f} %",
            f"{row['meeting_utterances_precision']:.2f} / {row['meeting_utterances_recall']:.2f}",
            f"{row['us_per_hop']:.0f}",
        ]
        for name, row in ((_DETECTORS[key], figures[key]) for key in _DETECTORS)
    ]
    return table(header, rows)


def performance_table(figures: dict[str, Any]) -> str:
    """How fast, how large, how idle."""
    rows = {
        "Event after the end of an utterance, p50 / p95": "{latency_p50_ms} / {latency_p95_ms} ms",
        "Real-time factor, an utterance of 3 s": "{real_time_factor}",
        "… of `transformers.pipeline` with wav2vec2-base's shape, same run": (
            "{peer_real_time_factor}: {times_faster_than_peer} times ours"
        ),
        "Idle, percent of one core: silence / hiss": "{idle_cpu_percent_silence} / {idle_cpu_percent_hiss}",
        "Resident memory": "{resident_mb} MiB",
        "Start to ready, warm caches": "{start_s} s",
        "`ser-agent --help`": "{help_s} s",
    }
    return table(["what", "figure"], [[what, figure.format(**figures)] for what, figure in rows.items()])


def assistants_table(figures: dict[str, Any]) -> str:
    """What is added to the assistant's answer."""
    header = ["recogniser takes", "transcript, direct, p50", "through the proxy, p50", "added, p50 / p95"]
    header += ["commands whose emotion was told"]
    rows = [
        [
            f"{row['recogniser_ms']} ms",
            f"{row['direct_p50_ms']} ms",
            f"{row['proxy_p50_ms']} ms",
            f"{row['added_p50_ms']} / {row['added_p95_ms']} ms",
            f"{row['told']} of {figures['commands']}",
        ]
        for row in figures["wyoming"]
    ]
    ovos = figures["ovos"]
    added = f"{ovos['added_p50_ms']} / {ovos['added_p95_ms']} ms"
    rows.append(["OpenVoiceOS's transformer", "–", "–", added, f"{ovos['told']} of {figures['commands']}"])
    return table(header, rows)


def load_table(rows: Sequence[dict[str, Any]]) -> str:
    """What became of the speech of many satellites."""
    header = ["speech", "cores", "satellites", "utterances begun", "published", "no speech or too short"]
    header += ["dropped for overload", "sound shed", "latency p50 / p95", "processor, percent of one core"]
    return table(header, [_load_cells(row) for row in rows])


def _load_cells(row: dict[str, Any]) -> list[object]:
    return [
        f"`{row['duty']}`, {row['spoken_percent']} %",
        row["cores"],
        row["streams"],
        row["begun"],
        row["published"],
        row["not_speech"],
        row["overload"],
        f"{row['shed_s']:g} s",
        "–" if row["p50_ms"] is None else f"{row['p50_ms']} / {row['p95_ms']} ms",
        row["cpu_percent"],
    ]


def peers_tables(figures: dict[str, Any]) -> dict[str, str]:
    """What else one would take, beside ours, and how the cost grows."""
    return {
        "peers": peers_table(figures["clips"]),
        "peers-lengths": peers_lengths_table(figures["lengths"]),
        "peers-files": peers_files_table(figures["files"]),
        "peers-streams": peers_streams_table(figures["streams"]),
    }


def peers_table(figures: dict[str, Any]) -> str:
    """What else one would take, beside ours."""
    header = [f"{figures['clip_s']:g} s of speech, one thread", "ms of the processor", "times ours"]
    rows = [
        [name, f"{1000 * row['seconds']:.0f}", _times_ours(row)] for name, row in figures["seconds_a_clip"].items()
    ]
    return table(header, rows)


def peers_lengths_table(figures: dict[str, Any]) -> str:
    """How the cost grows with an utterance's length."""
    (ours, theirs) = next(iter(figures.values()))["seconds"]
    header = ["length of an utterance", f"{ours}, ms of the processor", f"{theirs}, times ours"]
    rows = [
        [f"{length} s", f"{1000 * row['seconds'][ours]:.0f}", _times_ours(row)] for length, row in figures.items()
    ]
    return table(header, rows)


def peers_files_table(figures: dict[str, Any]) -> str:
    """How the cost grows with the number of files."""
    header = ["clips of 3 s, FLAC", "processor time", "files a second of one core, start apart", "memory at most"]
    rows = [
        [
            f"{int(count):,}",
            f"{row['cpu_s']:.1f} s",
            _or_dash(row["files_a_cpu_second"]),
            f"{row['peak_mb']:.0f} MiB",
        ]
        for count, row in figures["rows"].items()
    ]
    return table(header, rows)


def peers_streams_table(figures: dict[str, Any]) -> str:
    """How the cost grows with the number of streams."""
    header = [
        "streams",
        "ms of the processor for a second of each",
        "least and most of the rounds",
        "memory at most",
    ]
    rows = [
        [
            count,
            f"{row['cpu_ms_a_second']:.1f}",
            f"{row['cpu_ms_a_second_least']:.1f} to {row['cpu_ms_a_second_most']:.1f}",
            f"{row['peak_mb']:.0f} MiB",
        ]
        for count, row in figures.items()
    ]
    return table(header, rows)


def _or_dash(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:.0f}"


def _times_ours(row: dict[str, float]) -> str:
    return f"{row['times_ours']:.1f} ({row['times_ours_least']:.1f} to {row['times_ours_most']:.1f})"


def _results(name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads((ROOT / name).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
