"""Hours in a household, played as fast as it goes, in a process of its own that weighs itself.

``python -m support.household HOURS fake|real``, with the folder ``tests`` on the path, plays real clips and pauses
to an agent with a classifier that is made up, or with the embedded one and the default detector, and prints what
became of it. All that can go wrong does: the source is lost now and then and does not open at once, sound goes
missing, the classifier raises or answers nonsense, one sink refuses messages, and the MQTT broker is never there.
"""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from support.mqtt import free_port, make_sink, wait_until
from support.rig import Rig

from ser_agent import agent as agent_module
from ser_agent.app import Workshop
from ser_agent.audio import SAMPLE_RATE, AudioFrame, Samples
from ser_agent.audio_files import read_utterance
from ser_agent.config import load
from ser_agent.errors import ClassificationError, SinkError, SourceError, SourceLost
from ser_agent.metrics import resident_mb
from ser_agent.pipeline import listen
from ser_agent.testing import FakeClassifier, context
from ser_agent.vads.webrtc import WebRtcOptions, WebRtcVad

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ser_agent.audio import Utterance
    from ser_agent.messages import AnyMessage
    from ser_agent.ports import Answer, EmotionClassifier, EventSink, ModelInfo

SEED = 20261124
DATA = Path(__file__).parents[1] / "data"
FRAME_SAMPLES = (512, 1600, 3200, 8192)
WEIGHINGS = 24
"""In all, at the ends of stretches of equal length."""
LOOKS = 5
"""At the open files in each: a connection that is being tried has one for a moment, and a leak for good."""
BROKEN_AN_HOUR = 0.08
"""This share of the stretches of sound, divided by the hours, breaks off, and at most ``BROKEN_AT_MOST``."""
BROKEN_AT_MOST = 0.05


class CountingSink:
    """Counts what it is given, by kind, and keeps nothing."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()

    def open(self) -> None:
        """Always open."""

    def publish(self, message: AnyMessage) -> None:
        self.taken[type(message).__name__] += 1

    def flush(self, timeout_s: float) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Always open."""

    def lost(self) -> int:
        return 0


class MoodySink(CountingSink):
    """Refuses one message in ten, and has a bug that one in a hundred meets."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self._rng = rng

    def publish(self, message: AnyMessage) -> None:
        mood = self._rng.random()
        if mood < 0.10:
            raise SinkError("not now")
        if mood < 0.11:
            raise KeyError("a bug")
        self.taken[type(message).__name__] += 1


class MoodyClassifier:
    """Raises now and then, or answers nonsense; else it answers as another one does."""

    def __init__(self, inner: EmotionClassifier, rng: np.random.Generator) -> None:
        self._inner = inner
        self._rng = rng
        self.raised = 0
        self.nonsense = 0
        self.took_ms: list[float] = []
        """Processor time of each batch since the last weighing."""

    def load(self) -> ModelInfo:
        return self._inner.load()

    def close(self) -> None:
        self._inner.close()

    def classify(self, utterances: Sequence[Utterance]) -> Sequence[Answer]:
        began = time.thread_time()  # other programs' use of the machine must not count
        answers = list(self._inner.classify(utterances))
        self.took_ms.append((time.thread_time() - began) * 1000)
        for number in range(len(answers)):
            mood = self._rng.random()
            if mood < 0.02:
                self.raised += 1
                raise ClassificationError("no memory") if mood < 0.01 else ValueError("a bug")
            if mood < 0.04:
                self.nonsense += 1
                answers[number] = {"happy": math.nan, "sad": 0.5}
        return answers


class Household:
    """A source that plays clips and pauses, and has troubles; at the end of each stretch it weighs the process."""

    live = False

    def __init__(self, rng: np.random.Generator, hours: float, took_ms: list[float]) -> None:
        self._rng = rng
        self._hours = hours
        self._broken = min(BROKEN_AT_MOST, BROKEN_AN_HOUR / hours)
        self._took_ms = took_ms
        self._room = rng.normal(0, 4, 60 * SAMPLE_RATE).astype(np.int16)
        self._clips = [read_utterance(path) for path in sorted(DATA.glob("*.opus"))]
        self._script = self._stretches()
        self._played = 0
        self._cpu_s = time.process_time()
        self.troubles: Counter[str] = Counter(clips=0, losses=0, refusals=0, gaps=0)
        self.weights: list[dict[str, float | None]] = []
        self.on_their_way: Callable[[], int] = lambda: 0
        """How many messages and utterances wait for a stage."""

    def open(self) -> None:
        if self.troubles["losses"] and self._rng.random() < 0.5:
            self.troubles["refusals"] += 1
            raise SourceError("still away")

    def close(self) -> None:
        """Nothing is held."""

    def frames(self) -> Iterator[AudioFrame]:
        offset = 0
        size = int(self._rng.choice(FRAME_SAMPLES))
        for stretch in self._script:
            broken_at = self._rng.integers(len(stretch)) if self._rng.random() < self._broken else len(stretch)
            for start in range(0, broken_at, size):
                samples = stretch[start : start + size]
                yield AudioFrame(samples, offset, time.monotonic() - len(samples) / SAMPLE_RATE)
                offset += len(samples)
            if broken_at < len(stretch) and self._rng.random() < 0.7:
                self.troubles["losses"] += 1
                raise SourceLost("unplugged")
            if broken_at < len(stretch):
                self.troubles["gaps"] += 1
                offset += 20 * size

    def _stretches(self) -> Iterator[Samples]:
        """Clips, coughs and pauses, for so many hours."""
        for number in range(1, WEIGHINGS + 1):
            until = number * self._hours * 3600 * SAMPLE_RATE / WEIGHINGS
            while self._played < until:
                for stretch in (self._pause(), self._clip()):
                    self._played += len(stretch)
                    yield stretch
            self._weigh()

    def _weigh(self) -> None:
        wait_until(lambda: self.on_their_way() == 0, "all stages have caught up")
        gc.collect()
        took_ms, self._took_ms[:] = self._took_ms[:], []
        before_s, self._cpu_s = self._cpu_s, time.process_time()
        self.weights.append(
            {
                "hours": self._played / SAMPLE_RATE / 3600,
                "rss_mb": resident_mb(),
                "objects": len(gc.get_objects()),
                "threads": threading.active_count(),
                "descriptors": min(map(_open_files, range(LOOKS))),
                "classification_p50_ms": round(statistics.median(took_ms), 2) if took_ms else None,
                "cpu_s": round(self._cpu_s - before_s, 2),
            }
        )

    def _pause(self) -> Samples:
        length = int(self._rng.uniform(0.7, 12.0) * SAMPLE_RATE)
        start = self._rng.integers(len(self._room) - length)
        return self._room[start : start + length]

    def _clip(self) -> Samples:
        clip = self._clips[self._rng.integers(len(self._clips))]
        if self._rng.random() < 0.1:
            return clip[SAMPLE_RATE : SAMPLE_RATE + 2500]  # a cough: too short to be an utterance
        self.troubles["clips"] += 1
        return clip


def _open_files(look: int) -> int:
    """How many files this process has open, at one look of several."""
    time.sleep(0.01 * bool(look))
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough


def live_through(hours: float, kind: str, folder: Path) -> dict[str, object]:
    """Play so many hours to an agent whose parts are made up, or those of everyday; what became of it."""
    rngs = [np.random.default_rng(SEED + number) for number in range(3)]
    counting, moody = CountingSink(), MoodySink(rngs[0])
    workshop = Workshop(load(overrides=("sinks=[]",)))
    real = kind == "real"
    classifier = MoodyClassifier(workshop.classifier() if real else FakeClassifier(), rngs[2])
    household = Household(rngs[1], hours, classifier.took_ms)
    detector = workshop.detector() if real else WebRtcVad(WebRtcOptions(aggressiveness=3), context())
    mqtt = make_sink(free_port(), folder, max_events=200)
    sinks: dict[str, EventSink] = {"counting": counting, "moody": moody, "mqtt": mqtt}
    agent = Rig(household, classifier, sinks, detector=detector).agent()
    household.on_their_way = lambda: sum(map(len, agent._publisher.queues.values())) + len(agent._utterances)
    began = time.monotonic()
    outcome = agent.run()
    books, stats = agent.books, agent.stats()
    return {
        "outcome": outcome.name,
        "took_s": round(time.monotonic() - began, 1),
        "begun": books.begun,
        "published": books.published,
        "failed": books.failed,
        "dropped": books.dropped,
        "open": books.open,
        "moods": {"raised": classifier.raised, "nonsense": classifier.nonsense},
        "troubles": household.troubles,
        "taken": {"counting": counting.taken, "moody": moody.taken},
        "lost_by_sink": stats.lost_by_sink,
        "frames_dropped": stats.frames_dropped,
        "weights": household.weights,
    }


def main() -> None:
    """Shorten what the agent waits by the clock on the wall, and go."""
    logging.disable(logging.CRITICAL)
    listen.BACKOFF_LEAST_S = listen.BACKOFF_MOST_S = 0.0
    agent_module.STOP_S = 4.0  # the sink without a broker uses all there is
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(live_through(float(sys.argv[1]), sys.argv[2], Path(folder))))


if __name__ == "__main__":
    main()
