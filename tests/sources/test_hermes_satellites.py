"""What is made of the satellites' messages, and what becomes of satellites that fall silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.hermes import CHUNK, chunks, silence, wav

from ser_agent.audio import SAMPLE_RATE, AudioFrame, Lull
from ser_agent.sources.hermes_inflow import Arrival
from ser_agent.sources.hermes_names import SiteNames
from ser_agent.sources.hermes_satellites import Patience, Satellites
from ser_agent.state import StateFile
from ser_agent.testing import tone

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK_S = CHUNK / SAMPLE_RATE
SOUND = tone(1.0, frequency_hz=220)


def satellites(most: int = 4) -> Satellites:
    return Satellites(SiteNames(StateFile(), {"hub"}), most, Patience(silent_s=2.0, away_s=60.0))


def heard(
    those: Satellites, payloads: Sequence[bytes], name: str = "a", start_s: float = 100.0
) -> list[AudioFrame]:
    """The frames of messages that come one every 64 ms."""
    found: list[AudioFrame | Lull] = []
    for number, payload in enumerate(payloads):
        found += those.hear(Arrival(name, payload, start_s + number * CHUNK_S, None))
    return [one for one in found if isinstance(one, AudioFrame)]


def sound_of(frames: Sequence[AudioFrame]) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.concatenate([frame.samples for frame in frames])


def test_the_sound_comes_out_as_it_went_in_with_its_place() -> None:
    frames = heard(satellites(), [wav(chunk) for chunk in chunks(SOUND)], "Living Room")
    assert np.array_equal(sound_of(frames), SOUND)
    assert [frame.offset for frame in frames] == list(range(0, len(SOUND), CHUNK))
    assert {frame.site for frame in frames} == {"living-room"}


@pytest.mark.parametrize(
    ("rate", "channels", "width"), [(8_000, 1, 2), (44_100, 2, 2), (48_000, 1, 4), (22_050, 6, 1)]
)
def test_any_rate_width_and_channels_are_converted(rate: int, channels: int, width: int) -> None:
    count = rate  # one second
    sine = (10_000 * np.sin(2 * np.pi * 220 * np.arange(count) / rate)).astype(np.int16)
    payloads = [wav(chunk, rate, channels, width) for chunk in chunks(sine, rate * CHUNK // SAMPLE_RATE)]
    found = sound_of(heard(satellites(), payloads))
    assert len(found) == pytest.approx(SAMPLE_RATE, abs=2000)  # the filter keeps a little
    spectrum = np.abs(np.fft.rfft(found[2000:10_000]))
    assert np.argmax(spectrum) * SAMPLE_RATE / 8000 == pytest.approx(220, abs=4)
    assert np.abs(found[2000:10_000]).max() == pytest.approx(10_000, rel=0.05)


def test_a_message_that_comes_twice_is_heard_once_and_silence_is_no_repetition() -> None:
    those = satellites()
    twice = [wav(chunk) for chunk in chunks(SOUND[: 4 * CHUNK]) for _ in range(2)]
    frames = [
        frame
        for number, payload in enumerate(twice)
        for frame in those.hear(Arrival("a", payload, 100 + number // 2 * CHUNK_S + number % 2 * 0.001, None))
    ]
    assert len(frames) == those.counts["duplicates"] == 4
    burst = [those.hear(Arrival("a", wav(silence(0.064)), 101.0 + n / 1000, None)) for n in range(5)]
    assert sum(len(list(found)) for found in burst) == 5


def test_garbage_is_counted_and_makes_no_satellite() -> None:
    those = satellites()
    assert heard(those, [b"", b"hello", wav(SOUND)[:40]]) == []
    assert those.counts == {"garbage": 3}
    assert list(those.lulls(1000.0)) == []


def test_a_satellite_that_falls_silent_is_told_of_once_and_then_counts_as_switched_off() -> None:
    those = satellites()
    heard(those, [wav(SOUND[:CHUNK])])
    assert list(those.lulls(101.9)) == []
    assert list(those.lulls(102.1)) == [Lull("silent", "a")]
    assert list(those.lulls(159.0)) == []
    assert list(those.lulls(161.0)) == [Lull("away", "a")]
    assert list(those.lulls(1000.0)) == []
    (frame,) = heard(those, [wav(SOUND[:CHUNK])], start_s=1000.0)
    assert frame.offset > 899 * SAMPLE_RATE  # it is no continuation
    assert those.counts == {}  # and no loss either
    assert list(those.lulls(1002.1)) == [Lull("silent", "a")]


def test_sound_that_is_missing_is_a_gap() -> None:
    those = satellites()
    heard(those, [wav(SOUND[:CHUNK])])
    (frame,) = heard(those, [wav(SOUND[CHUNK : 2 * CHUNK])], start_s=101.5)
    assert frame.offset > CHUNK
    assert those.counts == {"gaps": 1}


def test_one_too_many_is_refused_until_another_has_been_away_long_enough() -> None:
    those = satellites(most=2)
    for name in ("a", "b", "c"):
        heard(those, [wav(SOUND[:CHUNK])], name)
    assert those.counts == {"refused": 1}
    assert [lull.kind for lull in those.lulls(161.0)] == ["silent", "away", "silent", "away"]
    found = list(those.hear(Arrival("c", wav(SOUND[:CHUNK]), 170.0, None)))
    assert found[0] == Lull("forgotten", "a")
    assert isinstance(found[1], AudioFrame)
    assert found[1].site == "c"


@given(
    st.permutations(range(16)),
    st.lists(st.integers(0, 15), max_size=4),
    st.lists(st.binary(max_size=60), max_size=4),
)
@settings(max_examples=25, deadline=None)
def test_disorder_loss_and_garbage_leave_offsets_that_only_grow(
    order: list[int], lost: list[int], junk: list[bytes]
) -> None:
    pieces = [wav(chunk) for chunk in chunks(SOUND[: 16 * CHUNK])]
    messages = [*junk, *(pieces[number] for number in order if number not in lost)]
    those = satellites()
    frames = heard(those, messages)
    assert len(frames) + sum(those.counts.values()) - those.counts.get("gaps", 0) == len(messages)
    ends = [frame.offset + len(frame.samples) for frame in frames]
    assert all(frame.offset >= end for frame, end in zip(frames[1:], ends, strict=False))
