"""Drawn time lines: a column is a hop of 32 ms; `#` is speech, `.` is none, `[--]` is the utterance expected."""

from __future__ import annotations

import numpy as np
import pytest

from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE, Utterance
from ser_agent.segmenter import HOP_MS, Discarded, Hop, Segmenter, SegmenterOptions, SpeechEnded, SpeechStarted

LEVELS = {"#": 1.0, ".": 0.0, "+": 0.4}
"""`+` is weaker than the threshold of 0.5, yet strong enough to hold an open utterance."""


def segmenter(**hops: int) -> Segmenter:
    """A segmenter whose durations are given in hops."""
    in_hops = {"onset": 2, "hangover": 4, "preroll": 1, "postroll": 1, "min_speech": 2} | hops
    longest_s = in_hops.pop("longest", 400) * HOP_MS / 1000
    options = {f"{name}_ms": round(count * HOP_MS) for name, count in in_hops.items()}
    return Segmenter(SegmenterOptions(**options, max_utterance_s=longest_s), threshold=0.5)


def hops(drawing: str, loudness: str | None = None) -> list[Hop]:
    result = []
    for index, mark in enumerate(drawing):
        level = int(loudness[index]) * 1000 if loudness else 1000
        samples = np.full(HOP_SAMPLES, level, dtype=np.int16)
        offset = index * HOP_SAMPLES
        result.append(Hop(samples, offset, offset / SAMPLE_RATE, LEVELS[mark]))
    return result


def draw(machine: Segmenter, drawing: str, loudness: str | None = None) -> str:
    """The utterances that come out, drawn below their hops."""
    line = [" "] * len(drawing)
    outputs = [output for hop in hops(drawing, loudness) for output in machine.push(hop)]
    outputs += list(machine.finish("end_of_stream"))
    for output in outputs:
        if isinstance(output, Utterance):
            first, last = output.offset // HOP_SAMPLES, (output.offset + len(output.samples)) // HOP_SAMPLES - 1
            line[first : last + 1] = "[" + "-" * (last - first - 1) + "]"
    return "".join(line).rstrip()


@pytest.mark.parametrize(
    ("speech", "expect"),
    [
        pytest.param(
            "....#####.........",
            "   [-----]",
            id="one utterance, with a hop before and one behind",
        ),
        pytest.param(
            "....#####...####......",
            "   [------------]",
            id="a gap of 3 is shorter than the hangover of 4",
        ),
        pytest.param(
            "....#####....####......",
            "   [-----]  [----]",
            id="a gap of 4 ends it, and the next begins behind what was taken",
        ),
        pytest.param(
            "....#...#....",
            "",
            id="single hops are no onset",
        ),
        pytest.param(
            "....#.##.....",
            "   [----]",
            id="two hops out of three are an onset, from the first of them on",
        ),
        pytest.param(
            "...####",
            "  [---]",
            id="the end of the stream ends it",
        ),
        pytest.param(
            "...##++++++.....",
            "  [--------]",
            id="weak speech holds an utterance open",
        ),
        pytest.param(
            "...++++++++.....",
            "",
            id="weak speech opens none",
        ),
        pytest.param(
            "###.....",
            "[--]",
            id="the stream may begin with speech",
        ),
    ],
)
def test_utterances_are_cut_as_drawn(speech: str, expect: str) -> None:
    assert draw(segmenter(), speech) == expect


def test_the_preroll_never_reaches_into_the_utterance_before() -> None:
    assert draw(segmenter(preroll=9, postroll=1), ".####....####....") == "[----][------]"


def test_an_utterance_with_little_speech_is_discarded_and_counted() -> None:
    machine = segmenter(min_speech=5)
    outputs = [output for hop in hops("..###......") for output in machine.push(hop)]
    assert [type(output) for output in outputs] == [SpeechStarted, Discarded, SpeechEnded]
    assert isinstance(outputs[1], Discarded)
    assert outputs[1].speech_ms == 3 * HOP_MS


def test_a_monologue_is_split_at_its_quietest_recent_point() -> None:
    quiet_hop = 55
    loudness = "".join("1" if abs(index - quiet_hop) <= 2 else "9" for index in range(80))
    drawn = draw(segmenter(longest=63), "#" * 80, loudness)
    assert drawn.index("]") == quiet_hop - 1
    assert drawn.index("[", 1) == quiet_hop


def test_a_split_monologue_loses_no_sample_and_says_why_it_ended() -> None:
    machine = segmenter(longest=40)
    outputs = [output for hop in hops("#" * 100) for output in machine.push(hop)]
    outputs += list(machine.finish("end_of_stream"))
    utterances = [output for output in outputs if isinstance(output, Utterance)]
    assert sum(len(utterance.samples) for utterance in utterances) == 100 * HOP_SAMPLES
    assert [utterance.end_reason for utterance in utterances[:-1]] == ["max_duration"] * (len(utterances) - 1)
    assert utterances[-1].end_reason == "end_of_stream"


def test_an_utterance_knows_when_its_end_was_decided() -> None:
    machine = segmenter()
    (ended,) = [o for hop in hops("..####....") for o in machine.push(hop) if isinstance(o, Utterance)]
    assert ended.closed_at == pytest.approx(10 * HOP_SAMPLES / SAMPLE_RATE)
    assert ended.captured_at == pytest.approx(1 * HOP_SAMPLES / SAMPLE_RATE)
    assert ended.start_s == ended.captured_at


def test_after_finish_nothing_is_remembered() -> None:
    machine = segmenter(preroll=5)
    assert draw(machine, ".....#") == ""
    assert draw(machine, "##....") == "[-]"
