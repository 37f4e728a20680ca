"""An utterance is told of before its end, and that changes nothing of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE, Draft, Utterance
from ser_agent.segmenter import (
    HOP_MS,
    NO_DRAFTS,
    Discarded,
    Drafting,
    Hop,
    Segmenter,
    SegmenterOptions,
    SegmenterOutput,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

OPTIONS = st.builds(
    SegmenterOptions,
    onset_ms=st.integers(1, 200),
    hangover_ms=st.integers(32, 600),
    preroll_ms=st.integers(0, 300),
    postroll_ms=st.integers(0, 400),
    min_speech_ms=st.integers(0, 300),
    max_utterance_s=st.floats(1.0, 3.0),
)
# How many hops there is silence or speech.
RUNS = st.lists(st.tuples(st.booleans(), st.integers(1, 60)), min_size=1, max_size=8)


def outputs(
    runs: Iterable[tuple[bool, int]], options: SegmenterOptions, drafting: Drafting
) -> list[SegmenterOutput]:
    machine = Segmenter(options, 0.5, drafting)
    found: list[SegmenterOutput] = []
    number = 0
    for is_speech, count in runs:
        for _ in range(count):
            samples = np.full(HOP_SAMPLES, number, dtype=np.int16)
            offset = number * HOP_SAMPLES
            found += machine.push(Hop(samples, offset, offset / SAMPLE_RATE, float(is_speech)))
            number += 1
    return [*found, *machine.finish("end_of_stream")]


def summary(output: SegmenterOutput) -> tuple[object, ...]:
    if isinstance(output, Utterance):
        return (output.offset, output.samples.tobytes(), output.end_reason, output.captured_at, output.closed_at)
    return (output,)


@given(RUNS, OPTIONS)
@settings(max_examples=60, deadline=None)
def test_drafts_change_nothing_of_what_comes_out(runs: list[tuple[bool, int]], options: SegmenterOptions) -> None:
    found = outputs(runs, options, Drafting(early=True, partial_every_s=0.3))
    without = outputs(runs, options, NO_DRAFTS)
    assert [summary(o) for o in found if not isinstance(o, Draft)] == [summary(o) for o in without]


@given(RUNS, OPTIONS)
@settings(max_examples=60, deadline=None)
def test_what_ends_in_silence_has_been_told_of_as_it_then_is(
    runs: list[tuple[bool, int]], options: SegmenterOptions
) -> None:
    options = options.model_copy(
        update={"max_utterance_s": 60.0}
    )  # a split in the pause may take the draft's place
    found = outputs(runs, options, Drafting(early=True, partial_every_s=0.3))
    hangover, postroll = (math.ceil(ms / HOP_MS) for ms in (options.hangover_ms, options.postroll_ms))
    latest: Utterance | None = None
    for output in found:
        if isinstance(output, Draft) and output.kind == "early":
            latest = output.utterance
        elif isinstance(output, Utterance) and output.end_reason == "silence" and max(1, postroll) < hangover:
            assert latest is not None
            assert (latest.captured_at, latest.samples.tobytes()) == (output.captured_at, output.samples.tobytes())
            assert latest.closed_at < output.closed_at
        if isinstance(output, Utterance | Discarded):
            latest = None


@given(RUNS, OPTIONS, st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_partial_drafts_grow_and_keep_their_distance(
    runs: list[tuple[bool, int]], options: SegmenterOptions, every: int
) -> None:
    length = 0
    for output in outputs(runs, options, Drafting(partial_every_s=every * HOP_MS / 1000)):
        if isinstance(output, Draft):
            assert output.kind == "partial"
            assert len(output.utterance.samples) >= length + every * HOP_SAMPLES
            length = len(output.utterance.samples)
        elif isinstance(output, Utterance | Discarded):
            length = 0
