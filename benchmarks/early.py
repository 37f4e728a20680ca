"""How often the answer that was made in an utterance's pause is the one that counts, in real meetings.

    python -m benchmarks.early

The meetings go through the default detector and segmenter. An early draft is used where the utterance then ends as
the draft was; it was for nothing where somebody speaks on within the pause.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks.corpora import CORPORA
from ser_agent.app import Workshop
from ser_agent.audio import SAMPLE_RATE, AudioFrame, Draft, Utterance
from ser_agent.audio_files import stream_file
from ser_agent.config import load
from ser_agent.segmenter import Drafting, SegmenterOutput
from training.markdown import table

RESULTS = Path(__file__).parent / "results" / "early.json"
MEETINGS = CORPORA / "vad-truth" / "ami"


def outputs(path: Path) -> list[SegmenterOutput]:
    """What the default detector and segmenter make of a recording, drafts included."""
    endpointer = Workshop(load()).endpointer(Drafting(early=True))
    found: list[SegmenterOutput] = []
    offset = 0
    for samples in stream_file(path):
        found += endpointer.feed(AudioFrame(samples, offset, offset / SAMPLE_RATE))
        offset += len(samples)
    return [*found, *endpointer.finish("end_of_stream")]


def count(found: list[SegmenterOutput]) -> dict[str, float]:
    """Utterances and drafts: how many, how many met, and seconds of sound in each."""
    figures = dict.fromkeys(("utterances", "utterances_s", "foreseen", "drafts", "drafts_s", "used_s"), 0.0)
    latest: Utterance | None = None
    for output in found:
        if isinstance(output, Draft):
            latest = output.utterance
            figures["drafts"] += 1
            figures["drafts_s"] += latest.duration_s
        elif isinstance(output, Utterance):
            figures["utterances"] += 1
            figures["utterances_s"] += output.duration_s
            if latest is not None and (latest.offset, latest.duration_s) == (output.offset, output.duration_s):
                figures["foreseen"] += 1
                figures["used_s"] += output.duration_s
            latest = None
    return figures


def summary(total: dict[str, float]) -> dict[str, Any]:
    """The shares that matter; seconds classified count those of drafts and of utterances that none foresaw."""
    classified_s = total["drafts_s"] + total["utterances_s"] - total["used_s"]
    return {
        "utterances": round(total["utterances"]),
        "drafts": round(total["drafts"]),
        "foreseen": round(total["foreseen"] / total["utterances"], 3),
        "times_the_work": round(classified_s / total["utterances_s"], 3),
    }


def main() -> None:
    """Count, and keep the figures."""
    total: dict[str, float] = {}
    for path in track(sorted(MEETINGS.glob("*.opus")), "meetings"):
        for key, value in count(outputs(path)).items():
            total[key] = total.get(key, 0.0) + value
    found = summary(total)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(table(list(found), [[str(value) for value in found.values()]]))


if __name__ == "__main__":
    main()
