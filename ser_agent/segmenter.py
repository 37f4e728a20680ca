"""Endpointing: hops and their speech probabilities in, utterances out. Pure: no clock, no I/O, no detector.

A hop is *speech* when its probability reaches the threshold; once an utterance is open, ``RELEASE`` less will do
(hysteresis, as Silero's own iterator has it). An utterance opens after ``onset_ms`` of speech among the latest
hops, takes ``preroll_ms`` of what came before with it, and closes after ``hangover_ms`` without speech, of which
``postroll_ms`` are kept. One that grows to ``max_utterance_s`` is split at its quietest recent point.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from pydantic import Field

from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE, Draft, EndReason, Samples, Utterance
from ser_agent.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterator

HOP_MS = 1000 * HOP_SAMPLES / SAMPLE_RATE
RELEASE = 0.15
ONSET_SLACK = 1.5
"""The onset's hops are looked for among this many times as many latest hops: one weak hop doesn't matter."""
SPLIT_SEARCH = 1 / 3
"""Part of the longest utterance, counted from its end, in which the quietest point to split it is looked for."""
SPLIT_SMOOTHING_HOPS = 5
EARLY_HOPS = 5
"""An early draft comes so long before the pause is over, 160 ms: a classifier has done by then, and the later it
comes, the less often is somebody going to speak on."""


class SegmenterOptions(Options):
    """When an utterance begins and ends."""

    onset_ms: int = Field(default=90, ge=1, le=2000)
    """Speech that opens an utterance."""
    hangover_ms: int = Field(default=500, ge=32, le=10_000)
    """Pause that closes an utterance."""
    preroll_ms: int = Field(default=300, ge=0, le=5000)
    """Sound kept from before the onset."""
    postroll_ms: int = Field(default=200, ge=0, le=5000)
    """Sound kept from after the last speech; never more than the hangover."""
    min_speech_ms: int = Field(default=300, ge=0, le=10_000)
    """An utterance with less speech than this is dropped."""
    max_utterance_s: float = Field(default=15.0, ge=1.0, le=60.0)
    """A longer monologue is split at its quietest recent point."""


@dataclass(frozen=True, slots=True, eq=False)
class Hop:
    """What the segmenter is told about at a time.

    Attributes:
        samples: int16, shape ``(n,)``, n at most ``HOP_SAMPLES``; only the last hop of a stream is shorter.
        offset: number of the first sample since the source opened.
        captured_at: monotonic time in seconds of the first sample.
        probability: of being speech, 0 to 1.
    """

    samples: Samples
    offset: int
    captured_at: float
    probability: float


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody speaks: an utterance has begun. A split monologue begins several in a row."""

    offset: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Nobody speaks any more."""

    offset: int


@dataclass(frozen=True, slots=True)
class Discarded:
    """An utterance that began turned out to hold less speech than ``min_speech_ms``."""

    offset: int
    speech_ms: float


SegmenterOutput: TypeAlias = SpeechStarted | Draft | Utterance | Discarded | SpeechEnded


@dataclass(frozen=True, slots=True)
class Drafting:
    """When an utterance is told of before its end, as a ``Draft``.

    Attributes:
        early: towards the end of the pause that may end it, once all that would be kept of it has been heard.
        partial_every_s: after so many seconds of it, again and again; None: never.
    """

    early: bool = False
    partial_every_s: float | None = None


NO_DRAFTS = Drafting()


def _hops(duration_ms: float) -> int:
    return math.ceil(duration_ms / HOP_MS)


class Segmenter:
    """The state machine. Each ``SpeechStarted`` is followed by exactly one ``Utterance`` or ``Discarded``."""

    def __init__(self, options: SegmenterOptions, threshold: float, drafting: Drafting = NO_DRAFTS) -> None:
        """Start in silence.

        Args:
            options: the durations.
            threshold: probability from which on a hop counts as speech.
            drafting: when an utterance is told of before its end; by default never.
        """
        self._drafts_early = drafting.early
        self._draft_hops = None if drafting.partial_every_s is None else _hops(drafting.partial_every_s * 1000)
        self._threshold = threshold
        self._release = max(threshold - RELEASE, threshold / 2)
        self._onset = max(1, _hops(options.onset_ms))
        self._window = max(self._onset, round(self._onset * ONSET_SLACK))
        self._hangover = max(1, _hops(options.hangover_ms))
        self._preroll = _hops(options.preroll_ms)
        self._postroll = min(_hops(options.postroll_ms), self._hangover)
        self._min_speech_ms = options.min_speech_ms
        self._max_hops = max(self._hangover + 1, math.floor(options.max_utterance_s * 1000 / HOP_MS))
        self._before: deque[Hop] = deque(maxlen=self._window + self._preroll)
        self._open: list[Hop] | None = None
        self._speech = 0
        self._silence = 0
        self._drafted = 0

    def push(self, hop: Hop) -> Iterator[SegmenterOutput]:
        """Take the next hop; hops follow one another without gaps.

        Yields:
            What it decided, in the order of time.
        """
        if self._open is None:
            self._before.append(hop)
            yield from self._begin_if_onset()
            return
        self._open.append(hop)
        is_speech = hop.probability >= self._release
        self._speech += is_speech
        self._silence = 0 if is_speech else self._silence + 1
        if self._silence >= self._hangover:
            yield from self._end("silence")
        elif len(self._open) >= self._max_hops:
            yield from self._split()
        else:
            yield from self._draft()

    def finish(self, reason: EndReason) -> Iterator[SegmenterOutput]:
        """The sound ends here: close the utterance in progress and forget what came before."""
        if self._open is not None:
            yield from self._end(reason)
        self._before.clear()

    def _begin_if_onset(self) -> Iterator[SegmenterOutput]:
        recent = list(self._before)
        window = recent[-self._window :]
        speech = [hop.probability >= self._threshold for hop in window]
        if not speech[-1] or sum(speech) < self._onset:
            return
        first = len(recent) - len(window) + speech.index(True)
        self._open = recent[max(0, first - self._preroll) :]
        self._speech = sum(hop.probability >= self._release for hop in recent[first:])
        self._silence = 0
        self._drafted = 0
        self._before.clear()
        yield SpeechStarted(self._open[0].offset)

    def _draft(self) -> Iterator[Draft]:
        """Tell of the utterance in progress: what ``_end`` would make of it, or how far it has come."""
        hops = self._open or []
        if self._drafts_early and self._silence == max(1, self._postroll, self._hangover - EARLY_HOPS):
            surplus = min(self._silence - self._postroll, len(hops) - 1)
            yield from self._as_draft(hops[: len(hops) - surplus], "early")
        elif self._draft_hops is not None and self._silence == 0 and len(hops) - self._drafted >= self._draft_hops:
            self._drafted = len(hops)
            yield from self._as_draft(hops, "partial")

    def _as_draft(self, hops: list[Hop], kind: Literal["early", "partial"]) -> Iterator[Draft]:
        utterance = self._close(hops, self._speech, "silence", decided_by=hops[-1])
        if isinstance(utterance, Utterance):
            yield Draft(utterance, kind)

    def _end(self, reason: EndReason) -> Iterator[SegmenterOutput]:
        hops = self._open or []
        surplus = min(max(0, self._silence - self._postroll), len(hops) - 1)
        kept, rest = hops[: len(hops) - surplus], hops[len(hops) - surplus :]
        yield self._close(kept, self._speech, reason, decided_by=hops[-1])
        self._open = None
        self._before.extend(rest)
        last = kept[-1]
        yield SpeechEnded(last.offset + len(last.samples))

    def _split(self) -> Iterator[SegmenterOutput]:
        hops = self._open or []
        cut = _quietest(hops, first=len(hops) - max(1, int(len(hops) * SPLIT_SEARCH)))
        head, tail = hops[:cut], hops[cut:]
        head_speech = sum(hop.probability >= self._release for hop in head)
        yield self._close(head, head_speech, "max_duration", decided_by=hops[-1])
        self._open = tail
        self._speech = sum(hop.probability >= self._release for hop in tail)
        self._silence = min(self._silence, len(tail))
        self._drafted = 0
        yield SpeechStarted(tail[0].offset)

    def _close(self, hops: list[Hop], speech: int, reason: EndReason, decided_by: Hop) -> Utterance | Discarded:
        first = hops[0]
        if speech * HOP_MS < self._min_speech_ms:
            return Discarded(first.offset, speech * HOP_MS)
        return Utterance(
            samples=np.concatenate([hop.samples for hop in hops]),
            offset=first.offset,
            end_reason=reason,
            captured_at=first.captured_at,
            closed_at=decided_by.captured_at + len(decided_by.samples) / SAMPLE_RATE,
        )


def _quietest(hops: list[Hop], first: int) -> int:
    """Index at or after ``first``, yet not 0, of the hop in the middle of the least energy."""
    energies = np.array([float(np.mean(np.square(hop.samples, dtype=np.float64))) for hop in hops[first:]])
    width = min(SPLIT_SMOOTHING_HOPS, len(energies))
    smooth = np.convolve(energies, np.ones(width) / width, mode="valid")
    return max(1, first + int(np.argmin(smooth)) + width // 2)
