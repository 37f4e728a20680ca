"""The bundled conversation through the defaults: what the trial shows is what its truth says was spoken."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ser_agent.app import Workshop
from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE, AudioFrame, Utterance
from ser_agent.audio_files import stream_file
from ser_agent.config import load
from ser_agent.endpointing import Endpointer
from ser_agent.segmenter import Segmenter, SegmenterOutput, SpeechStarted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SAMPLES = Path(str(files("ser_agent"))) / "samples"
TRUTH = json.loads((SAMPLES / "conversation.json").read_text(encoding="utf-8"))["utterances"]
BORDER_S = 0.5


def endpointed(frame_samples: int) -> Iterator[SegmenterOutput]:
    """What the default detector and segmenter make of the conversation, cut into frames of this size."""
    loaded = load()
    config = loaded.config
    endpointer = Endpointer(Workshop(loaded).detector(), Segmenter(config.segmenter, config.vad.threshold))
    offset = 0
    for block in stream_file(SAMPLES / "conversation.ogg"):
        for start in range(0, len(block), frame_samples):
            samples = block[start : start + frame_samples]
            yield from endpointer.feed(AudioFrame(samples, offset, offset / SAMPLE_RATE))
            offset += len(samples)
    yield from endpointer.finish("end_of_stream")


@pytest.fixture(scope="module")
def outputs() -> list[SegmenterOutput]:
    return list(endpointed(1024))


@pytest.fixture(scope="module")
def utterances(outputs: list[SegmenterOutput]) -> list[Utterance]:
    return [output for output in outputs if isinstance(output, Utterance)]


def names(truth: Mapping[str, object]) -> str:
    return str(truth["clip"])


def test_there_is_one_utterance_for_each_that_was_spoken_and_none_of_the_noises(
    utterances: list[Utterance],
) -> None:
    assert len(utterances) == len(TRUTH)
    assert {utterance.end_reason for utterance in utterances} == {"silence"}


@pytest.mark.parametrize(("number", "truth"), list(enumerate(TRUTH)), ids=map(names, TRUTH))
def test_an_utterance_holds_all_words_of_what_was_spoken_and_little_around_it(
    utterances: list[Utterance], number: int, truth: Mapping[str, float]
) -> None:
    utterance = utterances[number]
    assert utterance.start_s >= truth["start_s"] - BORDER_S
    assert utterance.end_s <= truth["end_s"] + BORDER_S
    first_word_s, last_word_s = words(truth["start_s"], truth["end_s"])
    assert utterance.start_s <= first_word_s
    assert utterance.end_s >= last_word_s


def words(start_s: float, end_s: float) -> tuple[float, float]:
    """Where the first and the last word are, surely: within 6 dB of the loudest.

    The truth tells where the clips lie. Some of them are recorded with so much noise that the speaker's voice sets
    in more than half a second after the clip, with nothing to tell it by but its loudness.
    """
    blocks = stream_file(SAMPLES / "conversation.ogg")
    clip = np.concatenate(list(blocks))[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]
    hops = clip[: len(clip) // HOP_SAMPLES * HOP_SAMPLES].reshape(-1, HOP_SAMPLES)
    power = np.mean(np.square(hops, dtype=np.float64), axis=1)
    loud = np.flatnonzero(power >= power.max() / 4) * HOP_SAMPLES / SAMPLE_RATE
    return start_s + float(loud[0]), start_s + float(loud[-1])


def test_the_noises_begin_nothing_not_even_what_is_then_thrown_away(outputs: list[SegmenterOutput]) -> None:
    for begun_s in (output.offset / SAMPLE_RATE for output in outputs if isinstance(output, SpeechStarted)):
        assert any(truth["start_s"] - BORDER_S <= begun_s <= truth["end_s"] for truth in TRUTH), begun_s


@pytest.mark.parametrize("frame_samples", [160, 777, 16_000])
def test_frames_of_another_size_give_the_same_utterances_to_the_sample(
    utterances: list[Utterance], frame_samples: int
) -> None:
    others = [output for output in endpointed(frame_samples) if isinstance(output, Utterance)]
    assert [(other.offset, other.samples.tobytes()) for other in others] == [
        (utterance.offset, utterance.samples.tobytes()) for utterance in utterances
    ]
