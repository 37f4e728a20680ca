"""Invariants of endpointing, for any sound and any way of cutting it into frames."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE, AudioFrame, Samples, Utterance
from ser_agent.endpointing import Endpointer
from ser_agent.segmenter import Discarded, Segmenter, SegmenterOptions, SegmenterOutput, SpeechEnded, SpeechStarted
from ser_agent.testing import LoudnessDetector

if TYPE_CHECKING:
    from collections.abc import Iterable

OPTIONS = st.builds(
    SegmenterOptions,
    onset_ms=st.integers(1, 300),
    hangover_ms=st.integers(32, 800),
    preroll_ms=st.integers(0, 500),
    postroll_ms=st.integers(0, 500),
    min_speech_ms=st.integers(0, 500),
    max_utterance_s=st.floats(1.0, 3.0),
)
# Stretches of silence and of loud sound, in samples: any length, so that borders fall inside hops.
STRETCHES = st.lists(st.tuples(st.booleans(), st.integers(1, 40_000)), min_size=1, max_size=8)
SIZES = st.lists(st.integers(1, 5000), min_size=1, max_size=10)


def sound(stretches: Iterable[tuple[bool, int]]) -> Samples:
    rng = np.random.default_rng(7)
    parts = [rng.integers(-9000, 9000, n) if loud else np.zeros(n) for loud, n in stretches]
    return np.concatenate(parts).astype(np.int16)


def outputs(samples: Samples, sizes: Iterable[int], options: SegmenterOptions) -> list[SegmenterOutput]:
    endpointer = Endpointer(LoudnessDetector(), Segmenter(options, 0.5))
    result: list[SegmenterOutput] = []
    offset = 0
    for size in itertools.cycle(sizes):
        if offset >= len(samples):
            break
        chunk = samples[offset : offset + size]
        result += endpointer.feed(AudioFrame(chunk, offset, offset / 16_000))
        offset += len(chunk)
    result += endpointer.finish("end_of_stream")
    return result


def summary(found: Iterable[SegmenterOutput]) -> list[tuple[object, ...]]:
    return [
        (type(o).__name__, o.offset, o.samples.tobytes(), o.end_reason, round(o.closed_at * SAMPLE_RATE))
        if isinstance(o, Utterance)
        else (o,)
        for o in found
    ]


@given(STRETCHES, SIZES, OPTIONS)
@settings(max_examples=60, deadline=None)
def test_the_same_samples_in_other_frames_give_the_same_utterances(
    stretches: list[tuple[bool, int]], sizes: list[int], options: SegmenterOptions
) -> None:
    samples = sound(stretches)
    assert summary(outputs(samples, sizes, options)) == summary(outputs(samples, [HOP_SAMPLES], options))


@given(STRETCHES, OPTIONS)
@settings(max_examples=60, deadline=None)
def test_every_utterance_that_begins_ends_exactly_once(
    stretches: list[tuple[bool, int]], options: SegmenterOptions
) -> None:
    found = outputs(sound(stretches), [1600], options)
    begun = sum(isinstance(o, SpeechStarted) for o in found)
    ended = sum(isinstance(o, Utterance | Discarded) for o in found)
    assert begun == ended
    speaking = [isinstance(o, SpeechStarted) for o in found if isinstance(o, SpeechStarted | SpeechEnded)]
    assert not speaking or not speaking[-1]


@given(STRETCHES, OPTIONS)
@settings(max_examples=60, deadline=None)
def test_utterances_are_stretches_of_the_input_in_order_without_overlap(
    stretches: list[tuple[bool, int]], options: SegmenterOptions
) -> None:
    samples = sound(stretches)
    position = 0
    for utterance in (o for o in outputs(samples, [800], options) if isinstance(o, Utterance)):
        end = utterance.offset + len(utterance.samples)
        assert utterance.offset >= position
        assert np.array_equal(samples[utterance.offset : end], utterance.samples)
        assert utterance.duration_s <= options.max_utterance_s + 1e-9
        position = end


@given(STRETCHES, st.integers(0, 60_000), OPTIONS)
@settings(max_examples=40, deadline=None)
def test_no_utterance_spans_a_gap(stretches: list[tuple[bool, int]], cut: int, options: SegmenterOptions) -> None:
    samples = sound(stretches)
    cut = min(cut, len(samples) - 1)
    endpointer = Endpointer(LoudnessDetector(), Segmenter(options, 0.5))
    found = list(endpointer.feed(AudioFrame(samples[:cut], 0, 0.0))) if cut else []
    found += endpointer.feed(AudioFrame(samples[cut:], cut + 5000, 0.0))
    found += endpointer.finish("end_of_stream")
    for utterance in (o for o in found if isinstance(o, Utterance)):
        end = utterance.offset + len(utterance.samples)
        assert end <= cut or utterance.offset >= cut + 5000
