"""From frames of any size to utterances: cutting into hops, asking the detector, feeding the segmenter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE, AudioFrame, EndReason, Samples
from ser_agent.segmenter import Hop, Segmenter, SegmenterOutput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.ports import VoiceActivityDetector

NO_SAMPLES: Samples = np.empty(0, dtype=np.int16)


class Endpointer:
    """Finds utterances in a stream of frames. How the source cuts its frames makes no difference."""

    def __init__(self, detector: VoiceActivityDetector, segmenter: Segmenter) -> None:
        self._detector = detector
        self._segmenter = segmenter
        self._pending = NO_SAMPLES
        self._next_offset: int | None = None
        self._pending_captured_at = 0.0

    def feed(self, frame: AudioFrame) -> Iterator[SegmenterOutput]:
        """Take the next frame.

        A frame that starts another stream, or does not follow the one before it, closes the utterance in
        progress: no utterance spans a border or a gap.

        Yields:
            What it decided, in the order of time.
        """
        if frame.starts_stream:
            yield from self.finish("end_of_stream")
        elif self._next_offset is not None and frame.offset != self._next_offset:
            yield from self.finish("source_lost")
        waiting = len(self._pending)
        start_offset = frame.offset - waiting
        start_time = self._pending_captured_at if waiting else frame.captured_at
        samples = np.concatenate((self._pending, frame.samples)) if waiting else frame.samples
        whole = len(samples) - len(samples) % HOP_SAMPLES
        for start in range(0, whole, HOP_SAMPLES):
            chunk = samples[start : start + HOP_SAMPLES]
            probability = self._detector.probability(chunk)
            captured_at = start_time + start / SAMPLE_RATE
            yield from self._segmenter.push(Hop(chunk, start_offset + start, captured_at, probability))
        self._pending = samples[whole:]
        self._pending_captured_at = start_time + whole / SAMPLE_RATE
        self._next_offset = frame.offset + len(frame.samples)

    def finish(self, reason: EndReason) -> Iterator[SegmenterOutput]:
        """The stream ends here. The last, shorter hop is shown to the detector with silence behind it."""
        if len(self._pending) and self._next_offset is not None:
            padded = np.zeros(HOP_SAMPLES, dtype=np.int16)
            padded[: len(self._pending)] = self._pending
            probability = self._detector.probability(padded)
            offset = self._next_offset - len(self._pending)
            yield from self._segmenter.push(Hop(self._pending, offset, self._pending_captured_at, probability))
        yield from self._segmenter.finish(reason)
        self._detector.reset()
        self._pending = NO_SAMPLES
        self._next_offset = None
