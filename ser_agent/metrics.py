"""Counters and gauges of a running agent, and the books that must balance.

Every utterance that begins ends as exactly one of published, failed or dropped.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

from ser_agent.audio import SAMPLE_RATE, AudioFrame, level_dbfs

LATENCIES_KEPT = 512
LEVEL_WINDOW_SAMPLES = SAMPLE_RATE
STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Books:
    """How many utterances began, and what became of them.

    Attributes:
        begun: utterances begun.
        published: utterances that became an event.
        failed: utterances that could not be classified, by reason.
        dropped: utterances given up, by reason.
    """

    begun: int = 0
    published: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def open(self) -> int:
        """Utterances still on their way."""
        return self.begun - self.published - sum(self.failed.values()) - sum(self.dropped.values())


class Metrics:
    """Thread-safe; every method is cheap enough for each frame."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = 0
        self._published = 0
        self._failed: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._settled = False
        self._frames_dropped = 0
        self._latencies_s: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self._speech_s = 0.0
        self._classification_s = 0.0
        self._recent: deque[AudioFrame] = deque()
        self._recent_samples = 0
        self._started = time.monotonic()
        self._cpu_mark = (time.monotonic(), time.process_time())

    def began(self) -> None:
        """An utterance began."""
        with self._lock:
            self._begun += not self._settled

    def published(self, latency_s: float) -> None:
        """An utterance became an event, so long after its end."""
        with self._lock:
            self._published += not self._settled
            self._latencies_s.append(latency_s)

    def failed(self, reason: str, count: int = 1) -> None:
        """Utterances could not be classified."""
        with self._lock:
            if not self._settled:
                self._failed[reason] += count

    def dropped(self, reason: str, count: int = 1) -> None:
        """Utterances were given up."""
        with self._lock:
            if not self._settled:
                self._dropped[reason] += count

    def lost_frames(self, count: int) -> None:
        """Frames were lost between the device and the detector."""
        with self._lock:
            self._frames_dropped += count

    def classified(self, speech_s: float, took_s: float) -> None:
        """So many seconds of speech took so many seconds to classify."""
        with self._lock:
            self._speech_s += speech_s
            self._classification_s += took_s

    def heard(self, frame: AudioFrame) -> None:
        """A frame arrived; the last second of them is kept for the level."""
        with self._lock:
            self._recent.append(frame)
            self._recent_samples += len(frame.samples)
            while self._recent_samples - len(self._recent[0].samples) >= LEVEL_WINDOW_SAMPLES:
                self._recent_samples -= len(self._recent.popleft().samples)

    def settle(self, reason: str) -> int:
        """Close the books for good: utterances still on their way are dropped for the given reason.

        What becomes of them after all, where a stage did not end in time, is not entered any more.

        Returns:
            How many there were.
        """
        with self._lock:
            remaining = self._books().open
            if remaining:
                self._dropped[reason] += remaining
            self._settled = True
            return remaining

    def books(self) -> Books:
        """The state of the books."""
        with self._lock:
            return self._books()

    def _books(self) -> Books:
        return Books(self._begun, self._published, dict(self._failed), dict(self._dropped))

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def frames_dropped(self) -> int:
        """Frames lost between the device and the detector."""
        with self._lock:
            return self._frames_dropped

    def latency_ms(self, quantile: float) -> int | None:
        """Latency of recent events, in milliseconds.

        Args:
            quantile: 0 to 1.
        """
        with self._lock:
            ordered = sorted(self._latencies_s)
        if not ordered:
            return None
        return round(1000 * ordered[min(len(ordered) - 1, int(quantile * len(ordered)))])

    def real_time_factor(self) -> float | None:
        """Seconds of classification for each second of speech."""
        with self._lock:
            return round(self._classification_s / self._speech_s, 4) if self._speech_s else None

    def level_dbfs(self) -> float | None:
        """Level of the last second of sound."""
        with self._lock:
            recent = list(self._recent)
        if not recent:
            return None
        powers = [(10 ** (level_dbfs(frame.samples) / 10), len(frame.samples)) for frame in recent]
        mean = sum(power * count for power, count in powers) / sum(count for _, count in powers)
        return round(10 * math.log10(mean), 1)

    def cpu_percent(self) -> float:
        """Processor time since the last call, in percent of one core."""
        wall, cpu = time.monotonic(), time.process_time()
        last_wall, last_cpu = self._cpu_mark
        self._cpu_mark = (wall, cpu)
        return round(100 * (cpu - last_cpu) / max(1e-3, wall - last_wall), 1)


def resident_mb() -> float | None:
    """Resident memory of this process in MiB, or None where the system does not tell (no procfs)."""
    try:
        pages = int(STATM.read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
