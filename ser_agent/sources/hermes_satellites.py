"""The satellites that are heard: their sound put in order, and what becomes of those that fall silent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ser_agent.audio import SAMPLE_RATE, AudioFrame, Lull, Samples
from ser_agent.resampling import MonoResampler
from ser_agent.sources.hermes_timeline import Timeline
from ser_agent.sources.hermes_wav import BadWav, read_wav

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from ser_agent.sources.hermes_inflow import Arrival
    from ser_agent.sources.hermes_names import SiteNames


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a satellite may be silent.

    Attributes:
        silent_s: then the utterance in progress ends; sound that is half as late follows a gap.
        away_s: then it counts as switched off.
    """

    silent_s: float
    away_s: float


@dataclass(slots=True)
class Satellite:
    """One satellite.

    Attributes:
        site: its slug.
        heard_at: when its last message came, monotonic seconds.
        timeline: places its sound.
        payload: that message.
        silent: whether the lull has been told.
        away: whether it counts as switched off.
        rate: of its last message.
        resampler: for that rate.
    """

    site: str
    heard_at: float
    timeline: Timeline
    payload: bytes = b""
    silent: bool = True
    away: bool = True
    rate: int = SAMPLE_RATE
    resampler: MonoResampler = field(default_factory=lambda: MonoResampler(SAMPLE_RATE))

    def repeats(self, arrival: Arrival) -> bool:
        """Whether a message is the one before it once more: the same, and sooner than its sound could be spoken.

        Digital silence is always the same, and no repetition.
        """
        if arrival.payload != self.payload:
            return False
        _, sound = read_wav(arrival.payload)
        return bool(np.any(sound)) and arrival.arrived_at - self.heard_at < len(sound) / self.rate / 2

    def convert(self, rate: int, sound: NDArray[np.int16] | NDArray[np.float32]) -> Samples:
        """The sound of a message as it travels through the agent."""
        if rate != self.rate:
            self.rate, self.resampler = rate, MonoResampler(rate)
        if rate == SAMPLE_RATE and sound.dtype == np.int16:
            return np.asarray(sound, dtype=np.int16)
        block = np.asarray(sound, dtype=np.float32)
        return self.resampler.convert(block / np.float32(32_768) if sound.dtype == np.int16 else block)


class Satellites:
    """All of them, never more than so many. In the listening thread only, but for ``counts``."""

    def __init__(self, names: SiteNames, most: int, patience: Patience) -> None:
        """Begin with none.

        Args:
            names: gives them slugs.
            most: how many there may be at a time.
            patience: how long they may be silent.
        """
        self._names = names
        self._most = most
        self._patience = patience
        self._known: dict[str, Satellite] = {}
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """What was counted since the start: messages that were no sound, repeated or refused, and gaps."""
        return dict(self._counts)

    def hear(self, arrival: Arrival) -> Iterator[AudioFrame | Lull]:
        """Make of a message what the pipeline takes; what is no sound is counted."""
        try:
            rate, sound = read_wav(arrival.payload)
        except BadWav:
            self._counts["garbage"] += 1
            return
        satellite = self._known.get(arrival.name)
        if satellite is None:
            yield from self._make_room()
            satellite = self._welcome(arrival)
        if satellite is None:
            self._counts["refused"] += 1
        elif satellite.repeats(arrival):
            self._counts["duplicates"] += 1
        else:
            yield from self._frame(satellite, arrival, satellite.convert(rate, sound))

    def _frame(self, satellite: Satellite, arrival: Arrival, samples: Samples) -> Iterator[AudioFrame]:
        was_silent = satellite.silent
        satellite.heard_at, satellite.payload = arrival.arrived_at, arrival.payload
        satellite.silent = satellite.away = False
        if not len(samples):
            return  # a resampler holds back a little in the beginning
        placed = satellite.timeline.place(len(samples), arrival.arrived_at)
        if placed.after_gap and not was_silent:
            self._counts["gaps"] += 1
        yield AudioFrame(samples, placed.offset, placed.captured_at, site=satellite.site, session=arrival.session)

    def _make_room(self) -> Iterator[Lull]:
        """Where there are too many, forget the one that has been away the longest."""
        if len(self._known) < self._most:
            return
        away = [name for name, satellite in self._known.items() if satellite.away]
        if away:
            longest = min(away, key=lambda name: self._known[name].heard_at)
            yield Lull("forgotten", self._known.pop(longest).site)

    def _welcome(self, arrival: Arrival) -> Satellite | None:
        if len(self._known) >= self._most:
            return None
        satellite = Satellite(
            self._names.of(arrival.name), arrival.arrived_at, Timeline(self._patience.silent_s / 2)
        )
        self._known[arrival.name] = satellite
        return satellite

    def lulls(self, now_s: float) -> Iterator[Lull]:
        """Who has fallen silent, each once, and who counts as switched off by now."""
        for satellite in self._known.values():
            silent_s = now_s - satellite.heard_at
            if not satellite.silent and silent_s >= self._patience.silent_s:
                satellite.silent = True
                satellite.payload = b""
                yield Lull("silent", satellite.site)
            if not satellite.away and silent_s >= self._patience.away_s:
                satellite.away = True
                yield Lull("away", satellite.site)

    @property
    def heard(self) -> int:
        """How many send sound."""
        return sum(not satellite.silent for satellite in list(self._known.values()))
