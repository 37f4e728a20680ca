"""Eight hours in a household, played as fast as it goes: real clips, pauses, and everything that can go wrong.

The source is lost now and then and does not open at once, sound goes missing, the classifier raises or answers
nonsense, one sink refuses messages, and the MQTT broker is never there. Every utterance must be accounted for, and
memory must not grow.
"""

from __future__ import annotations

import gc
import itertools
import logging
import math
import statistics
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.mqtt import free_port, make_sink
from support.rig import Rig

from ser_agent.agent import Outcome
from ser_agent.audio import SAMPLE_RATE, AudioFrame, Samples
from ser_agent.audio_files import read_utterance
from ser_agent.errors import ClassificationError, SinkError, SourceError, SourceLost
from ser_agent.messages import AnyMessage, EmotionEvent
from ser_agent.metrics import resident_mb
from ser_agent.testing import FakeClassifier, context
from ser_agent.vads.webrtc import WebRtcOptions, WebRtcVad

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ser_agent.audio import Utterance

HOURS = 8
SEED = 20261124
DATA = Path(__file__).parents[1] / "data"
FRAME_SAMPLES = (512, 1600, 3200, 8192)

GROWTH_MB_AN_HOUR = 0.4
"""How much more memory may be resident an hour later, in the middle one of the hours' differences. The allocator
takes memory in steps of a few megabytes, at any hour, and rests in between; what leaks grows in every hour. Over
three hundred utterances lie in one: the samples of one in thirty, or two kilobytes of each, would be more."""
GROWTH_MB = 16.0
"""And in all: a few of the allocator's steps. Seen was 4.2."""
GROWTH_OBJECTS = 500
"""How many more objects may be alive: one for every sixth utterance in between would be found. Seen was 60, either
way: the queues are now a little fuller, now a little emptier."""


class Household:
    """A source that plays clips and pauses, and has troubles; at the end of each hour it weighs the process."""

    live = False

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._room = rng.normal(0, 4, 60 * SAMPLE_RATE).astype(np.int16)
        self._clips = [read_utterance(path) for path in sorted(DATA.glob("*.opus"))]
        self._script = self._stretches()
        self._played = 0
        self.clips_played = 0
        self.losses = 0
        self.refusals = 0
        self.gaps = 0
        self.memory_mb: list[float] = []
        self.objects: list[int] = []

    def open(self) -> None:
        if self.losses and self._rng.random() < 0.5:
            self.refusals += 1
            raise SourceError("still away")

    def close(self) -> None:
        """Nothing is held."""

    def frames(self) -> Iterator[AudioFrame]:
        offset = 0
        size = int(self._rng.choice(FRAME_SAMPLES))
        for stretch in self._script:
            broken_at = self._rng.integers(len(stretch)) if self._rng.random() < 0.01 else len(stretch)
            for start in range(0, broken_at, size):
                samples = stretch[start : start + size]
                yield AudioFrame(samples, offset, offset / SAMPLE_RATE)
                offset += len(samples)
            if broken_at < len(stretch) and self._rng.random() < 0.7:
                self.losses += 1
                raise SourceLost("unplugged")
            if broken_at < len(stretch):
                self.gaps += 1
                offset += 20 * size

    def _stretches(self) -> Iterator[Samples]:
        """Clips, coughs and pauses, for so many hours."""
        for _ in range(HOURS):
            hour_ends = self._played + 3600 * SAMPLE_RATE
            while self._played < hour_ends:
                for stretch in (self._pause(), self._clip()):
                    self._played += len(stretch)
                    yield stretch
            gc.collect()
            self.memory_mb.append(resident_mb() or math.nan)
            self.objects.append(len(gc.get_objects()))

    def _pause(self) -> Samples:
        length = int(self._rng.uniform(0.7, 12.0) * SAMPLE_RATE)
        start = self._rng.integers(len(self._room) - length)
        return self._room[start : start + length]

    def _clip(self) -> Samples:
        clip = self._clips[self._rng.integers(len(self._clips))]
        if self._rng.random() < 0.1:
            return clip[SAMPLE_RATE : SAMPLE_RATE + 2500]  # a cough: too short to be an utterance
        self.clips_played += 1
        return clip


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
        super().publish(message)


class MoodyClassifier:
    """What an answer function for the fake classifier may do: raise, answer nonsense, or answer."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.raised = 0
        self.nonsense = 0

    def __call__(self, _: Utterance) -> Mapping[str, float]:
        mood = self._rng.random()
        if mood < 0.01:
            self.raised += 1
            raise ClassificationError("no memory")
        if mood < 0.02:
            self.raised += 1
            raise ValueError("a bug")
        if mood < 0.04:
            self.nonsense += 1
            return {"happy": math.nan, "sad": 0.5}
        happy = self._rng.random()
        return {"happy": happy, "sad": 1 - happy}


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what the agent waits by the clock on the wall."""
    monkeypatch.setattr("ser_agent.pipeline.listen.BACKOFF_LEAST_S", 0.0)
    monkeypatch.setattr("ser_agent.pipeline.listen.BACKOFF_MOST_S", 0.0)
    monkeypatch.setattr("ser_agent.agent.STOP_S", 4.0)  # the sink without a broker uses all there is


@pytest.mark.timeout(900)
def test_eight_hours_with_every_kind_of_trouble_lose_no_utterance_and_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)  # pytest keeps what is logged, and would be the leak that is found
    hurry(monkeypatch)
    household = Household(np.random.default_rng(SEED))
    moods = MoodyClassifier(np.random.default_rng(SEED + 1))
    counting, moody = CountingSink(), MoodySink(np.random.default_rng(SEED + 2))
    mqtt = make_sink(free_port(), tmp_path, max_events=200)
    rig = Rig(
        household,
        FakeClassifier(moods),
        {"counting": counting, "moody": moody, "mqtt": mqtt},
        detector=WebRtcVad(WebRtcOptions(aggressiveness=3), context()),
    )
    agent = rig.agent()
    assert agent.run() is Outcome.ENDED

    books = agent.books
    assert books.open == 0
    assert books.begun == books.published + sum(books.failed.values()) + sum(books.dropped.values())
    assert set(books.failed) == {"classifier", "invalid"}
    assert set(books.dropped) == {"too_short"}
    # Utterances that wait together are classified together, and fail together where one of them makes it raise.
    assert books.failed["classifier"] >= moods.raised > 0
    assert 0 < books.failed["invalid"] <= moods.nonsense
    assert sum(books.failed.values()) >= moods.raised + moods.nonsense
    interrupted = household.losses + household.gaps
    assert books.begun - books.dropped["too_short"] >= household.clips_played - interrupted
    assert min(household.losses, household.refusals, household.gaps) > 5

    stats = agent.stats()
    messages = sum(counting.taken.values())
    assert counting.taken[EmotionEvent.__name__] == books.published
    assert stats.lost_by_sink["counting"] == 0
    assert stats.lost_by_sink["moody"] == messages - sum(moody.taken.values()) > 0
    assert stats.lost_by_sink["mqtt"] == books.published
    assert stats.frames_dropped >= 20 * household.gaps * 0.5

    hourly = [later - before for before, later in itertools.pairwise(household.memory_mb)]
    assert statistics.median(hourly) < GROWTH_MB_AN_HOUR, household.memory_mb
    assert household.memory_mb[-1] - household.memory_mb[0] < GROWTH_MB, household.memory_mb
    assert household.objects[-1] - household.objects[0] < GROWTH_OBJECTS, household.objects
