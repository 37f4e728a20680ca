"""What the mood does to a conversation: the picture in ``docs/mqtt.md``.

    python -m benchmarks.mood [--out docs/images/mood.png]

The bundled conversation (a minute, and then two of silence) is heard by the agent as it is by default; the mood is
followed with several time constants.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.patches import Patch

from ser_agent.messages import EmotionScore
from ser_agent.mood import MoodTracker

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes

CONVERSATION = Path(__file__).parents[1] / "ser_agent" / "samples" / "conversation.ogg"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "mood.png"
TIME_CONSTANTS_S = (10.0, 60.0, 300.0)
SHOWN_S = 180.0
STEP_S = 0.25
COLOURS = {
    "angry": "#d55e00",
    "calm": "#56b4e9",
    "disgust": "#009e73",
    "fear": "#cc79a7",
    "happy": "#f0e442",
    "neutral": "#bbbbbb",
    "sad": "#0072b2",
    "surprise": "#e69f00",
    "uncertain": "#eeeeee",
}
"""After Okabe and Ito: told apart also by people who see colours differently."""


@dataclass(frozen=True, slots=True)
class Span:
    """A coloured stretch of time.

    Attributes:
        start_s: its begin, seconds.
        end_s: its end, seconds.
        label: the emotion, which gives its colour.
        height: 0 to 1.
        scores: the emotions of an utterance; empty for others.
    """

    start_s: float
    end_s: float
    label: str
    height: float
    scores: tuple[EmotionScore, ...] = ()


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=PICTURE, help="where the picture goes")
    out: Path = parser.parse_args().out
    utterances = heard()
    for time_constant_s in TIME_CONSTANTS_S:
        spans = list(moods(utterances, time_constant_s))
        told = ", ".join(f"{span.label} from {span.start_s:.0f} s" for span in spans) or "none"
        print(f"time constant {time_constant_s:g} s: {told}")
    draw(utterances, out)
    print(f"wrote {out}")


def heard() -> list[Span]:
    """The utterances of the conversation, as ``ser-agent classify --segment`` hears them."""
    command = [sys.executable, "-m", "ser_agent", "classify", "--segment", "--jsonl", str(CONVERSATION)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [
        Span(
            record["start_s"],
            record["end_s"],
            record["emotion"],
            record["confidence"],
            tuple(EmotionScore(**score) for score in record["emotions"]),
        )
        for record in map(json.loads, lines)
    ]


def spoken() -> list[Span]:
    """What the speakers of the conversation were asked to show."""
    truth = json.loads(CONVERSATION.with_suffix(".json").read_text(encoding="utf-8"))
    return [Span(each["start_s"], each["end_s"], each["emotion"], 1.0) for each in truth["utterances"]]


def moods(utterances: Sequence[Span], time_constant_s: float) -> Iterable[Span]:
    """The mood as it goes: a span for each value."""
    tracker = MoodTracker(time_constant_s)
    waiting = list(utterances)
    begun: Span | None = None
    for now_s in np.arange(0.0, SHOWN_S + STEP_S, STEP_S):
        while waiting and waiting[0].end_s <= now_s:
            utterance = waiting.pop(0)
            tracker.hear(utterance.scores, utterance.end_s - utterance.start_s, utterance.end_s)
        mood = tracker.mood(float(now_s))
        value = None if mood is None else (mood.label, round(mood.share, 2))
        if begun is not None and value != (begun.label, begun.height):
            yield Span(begun.start_s, float(now_s), begun.label, begun.height)
            begun = None
        if value is not None and begun is None:
            begun = Span(float(now_s), float(now_s), *value)
    if begun is not None:
        yield Span(begun.start_s, SHOWN_S, begun.label, begun.height)


def draw(utterances: Sequence[Span], out: Path) -> None:
    """Draw what was said, what was heard, and the mood with each time constant, one below the other."""
    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend has been chosen

    rows = [("said", spoken()), ("heard", list(utterances))]
    rows += [(f"mood, {each:g} s", list(moods(utterances, each))) for each in TIME_CONSTANTS_S]
    figure, axes = plt.subplots(len(rows), 1, figsize=(9, 5), sharex=True, layout="constrained")
    for axis, (title, spans) in zip(axes, rows, strict=True):
        draw_row(axis, title, spans)
    axes[-1].set_xlabel("seconds")
    labels = sorted({span.label for _, spans in rows for span in spans})
    handles = [Patch(color=COLOURS[label]) for label in labels]
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


def draw_row(axis: Axes, title: str, spans: Sequence[Span]) -> None:
    """Draw spans as bars whose height is the confidence or the share."""
    for span in spans:
        axis.bar(
            span.start_s,
            span.height,
            span.end_s - span.start_s,
            align="edge",
            color=COLOURS[span.label],
            linewidth=0,
        )
    axis.set_xlim(0, SHOWN_S)
    axis.set_ylim(0, 1)
    axis.set_yticks([0, 1])
    axis.set_ylabel(title, rotation=0, ha="right", va="center")
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
