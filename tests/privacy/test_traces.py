"""What looks for a sound finds it, in any form, and takes nothing else for it."""

from __future__ import annotations

import array
import os
from pathlib import Path

import numpy as np
import pytest
from support.traces import SHORTEST, Tracer, watermarked

from ser_agent.audio import float_from_pcm16
from ser_agent.audio_files import read_utterance

SPEECH = Path(__file__).parents[1] / "data" / "1066_IOM_NEU_XX.opus"
SOUND = watermarked(read_utterance(SPEECH))
NOISE = np.random.default_rng(1).integers(0, 256, 100_000, np.uint8).tobytes()
STRETCH = SOUND[5000 : 5000 + SHORTEST]
NORMALISED = (float_from_pcm16(STRETCH) - 0.01) / 0.07


@pytest.fixture(scope="module")
def tracer() -> Tracer:
    return Tracer(SOUND)


@pytest.mark.parametrize(
    "form",
    [
        STRETCH.tobytes(),
        NORMALISED.astype(np.float32).tobytes(),
        NORMALISED.astype(np.float64).tobytes(),
        array.array("d", [value for sample in STRETCH for value in (0.0, 1.0, sample)]).tobytes(),
    ],
    ids=["int16", "float32, another scale", "float64", "Python's floats"],
)
@pytest.mark.parametrize("position", [0, 8, 4096, 54_312])
def test_the_shortest_stretch_is_found_in_every_form(tracer: Tracer, form: bytes, position: int) -> None:
    assert tracer.in_bytes(NOISE[:position] + form + NOISE[position:], "here")


def test_neither_noise_nor_the_plain_speech_is_taken_for_it(tracer: Tracer) -> None:
    assert not tracer.in_bytes(NOISE, "noise", every_alignment=True)
    assert not tracer.in_bytes(read_utterance(SPEECH).tobytes(), "speech", every_alignment=True)


def test_of_short_stretches_many_are_none_where_long_ones_are_asked_for(tracer: Tracer) -> None:
    short = b"".join(SOUND[at : at + 400].tobytes() + NOISE[:2000] for at in range(0, 8000, 400))
    assert tracer.in_bytes(short, "here")
    assert not tracer.in_bytes(short, "here", least=7)
    assert tracer.in_bytes(NOISE[:2468] + SOUND[1000:1512].tobytes() + NOISE, "here", least=7)


def test_a_file_is_searched_at_every_alignment_and_for_containers(tracer: Tracer, tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"x" + STRETCH.tobytes() + bytes(600))
    (tmp_path / "packed").write_bytes(b"fLaC" + bytes(100))
    assert {Path(trace.where).name for trace in tracer.in_files(tmp_path)} == {"raw", "packed"}


def test_a_process_that_has_it_is_found_out(tracer: Tracer) -> None:
    assert tracer.in_process(os.getpid())  # this very process: it has SOUND
