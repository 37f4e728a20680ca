"""Sound as it travels through the agent: int16, mono, 16 kHz. Everything else is converted at the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable

SAMPLE_RATE = 16_000
"""Samples per second of every frame and utterance."""

HOP_SAMPLES = 512
"""What a voice-activity detector is asked about at a time: 32 ms, the hop that Silero was trained on."""

FULL_SCALE = 32_768
OVERWRITTEN_FROM = 512
"""The C library overwrites what is freed only from about 1 KiB on (``ser_agent.process``): frames are made as if
they had so many samples more."""
SILENCE_DBFS = -96.0
"""The level given to digital silence: the floor of 16-bit audio."""

Samples: TypeAlias = NDArray[np.int16]
EndReason: TypeAlias = Literal["silence", "max_duration", "end_of_stream", "source_lost"]


@dataclass(frozen=True, slots=True, eq=False)
class AudioFrame:
    """Consecutive samples from a source.

    Attributes:
        samples: int16, shape ``(n,)``, mono at ``SAMPLE_RATE``; any n of at least 1.
        offset: number of the first sample since the source opened. Where it is not the sum of what came
            before, samples were lost in between.
        captured_at: monotonic time in seconds at which the first sample was heard. A file that is read
            faster than real time counts on from the time it was opened.
        starts_stream: the sound before this frame belongs to something else (another file): no utterance
            may span the border.
        site: slug of the place that it was heard at, where a source hears several; each counts offsets of its
            own. None: the agent's own site.
        session: of the voice assistant that listens there just now, if any.
    """

    samples: Samples
    offset: int
    captured_at: float
    starts_stream: bool = False
    site: str | None = None
    session: str | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Lull:
    """What a source may yield instead of a frame: nothing to hear, and why.

    Attributes:
        kind: ``waiting``: it is open, and nobody has anything to say to it; ``silent``: the site's sound has
            ceased to come; ``away``: for so long that the site counts as switched off; ``forgotten``: its place is
            given to another one, and it is a stranger from now on.
        site: of which site; None: of the source as a whole.
    """

    kind: Literal["waiting", "silent", "away", "forgotten"]
    site: str | None = None


Sound: TypeAlias = AudioFrame | Lull
"""What a source yields."""


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """One stretch of speech, with its pre-roll and post-roll.

    Attributes:
        samples: int16, shape ``(n,)``, mono at ``SAMPLE_RATE``.
        offset: number of the first sample since the source opened.
        end_reason: why it ended here.
        captured_at: monotonic time in seconds of the first sample.
        closed_at: monotonic time in seconds at which the sound was in that decided its end; latencies count
            from here.
        site: where it was heard, as its frames say; None: the agent's own site.
        session: of the voice assistant that listened meanwhile, if any.
    """

    samples: Samples
    offset: int
    end_reason: EndReason
    captured_at: float
    closed_at: float
    site: str | None = None
    session: str | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def start_s(self) -> float:
        """Position of the first sample in seconds since the source opened."""
        return self.offset / SAMPLE_RATE

    @property
    def end_s(self) -> float:
        """Position behind the last sample in seconds since the source opened."""
        return (self.offset + len(self.samples)) / SAMPLE_RATE


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """An utterance as it is so far: it may go on, and is in nobody's books.

    Attributes:
        utterance: what has been said of it; samples of its own.
        kind: ``early``: nothing will be added to it, unless somebody speaks again within the pause that is to end
            it; ``partial``: it goes on.
    """

    utterance: Utterance
    kind: Literal["early", "partial"]


def overwrite(utterances: Iterable[Utterance]) -> None:
    """Let nothing of the sound stay in memory, whoever may still hold the utterances."""
    for utterance in utterances:
        if utterance.samples.flags.writeable:
            utterance.samples.fill(0)


def level_dbfs(samples: Samples) -> float:
    """Root-mean-square level in dB relative to full scale.

    Args:
        samples: int16, shape ``(n,)``.

    Returns:
        A value from ``SILENCE_DBFS`` (no sound, or no samples) to 0.
    """
    if len(samples) == 0:
        return SILENCE_DBFS
    power = float(np.mean(np.square(samples, dtype=np.float64))) / FULL_SCALE**2
    if power <= 0.0:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, 10.0 * float(np.log10(power)))


def to_mono(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the channels.

    Args:
        samples: float32, shape ``(n,)`` or ``(n, channels)``.

    Returns:
        float32, shape ``(n,)``.
    """
    if samples.ndim == 1:
        return samples
    return np.asarray(samples.mean(axis=1, dtype=np.float32))


def pcm16_from_float(samples: NDArray[np.float32]) -> Samples:
    """Turn float samples of nominally -1 to 1 into int16, clipping what lies outside.

    Args:
        samples: float32, shape ``(n,)``, finite.

    Returns:
        int16, shape ``(n,)``.
    """
    scaled = np.rint(np.clip(samples, -1.0, 1.0) * FULL_SCALE)
    result = np.empty(len(samples) + OVERWRITTEN_FROM, dtype=np.int16)[: len(samples)]
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1, out=result, casting="unsafe")


def float_from_pcm16(samples: Samples) -> NDArray[np.float32]:
    """Turn int16 samples into float32 of -1 to 1, shape unchanged."""
    return np.asarray(samples, dtype=np.float32) / np.float32(FULL_SCALE)
