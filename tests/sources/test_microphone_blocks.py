"""What the microphone makes of what a device delivers; the devices here are made up, the clock too."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.devices import FakePortAudio

from ser_agent.audio import SAMPLE_RATE, Samples
from ser_agent.errors import SourceError, SourceLost
from ser_agent.sources.microphone import FIRST_BLOCK_S, BlockConverter, MicrophoneSource
from ser_agent.sources.sound_check import Block
from ser_agent.testing import context, tone

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = np.full(512, 100, dtype=np.int16)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakePortAudio], FakePortAudio]:
    """Puts a machine in the place of this one."""

    def put(machine: FakePortAudio) -> FakePortAudio:
        monkeypatch.setattr("ser_agent.sources.microphone.initialised", lambda: machine)
        return machine

    return put


def microphone(**keys: Any) -> MicrophoneSource:  # noqa: ANN401 - of many kinds
    return MicrophoneSource(MicrophoneSource.Options(**keys), context())


def blocks_of(sound: Samples, sizes: list[int], rate: int) -> list[Block]:
    blocks: list[Block] = []
    start = 0
    for size in itertools.cycle(sizes):
        if start >= len(sound):
            return blocks
        blocks.append(Block(start, 100 + start / rate, sound[start : start + size].tobytes()))
        start += size
    return blocks


@pytest.mark.parametrize(
    ("takes", "tried"),
    [
        pytest.param((16_000, 1), [(16_000, 1)], id="ours"),
        pytest.param((16_000, 2), [(16_000, 1), (16_000, 2)], id="all of its channels"),
        pytest.param((48_000, 1), [(16_000, 1), (16_000, 2), (48_000, 1)], id="its own rate"),
        pytest.param((48_000, 2), [(16_000, 1), (16_000, 2), (48_000, 1), (48_000, 2)], id="both"),
    ],
)
def test_where_nothing_is_asked_for_it_takes_the_first_that_the_device_takes(
    use: Callable[[FakePortAudio], FakePortAudio], takes: tuple[int, int], tried: list[tuple[int, int]]
) -> None:
    machine = use(FakePortAudio({takes}))
    source = microphone()
    source.open()
    rate, channels = takes
    machine.deliver(np.full(rate * channels, 1000, dtype=np.int16).tobytes(), False)
    frame = next(source.frames())
    source.close()
    assert machine.tried == tried
    assert len(frame.samples) == pytest.approx(SAMPLE_RATE, abs=1000)
    assert frame.samples[8000] == pytest.approx(1000, abs=2)
    assert machine.running.closed
    assert machine.terminated


def test_what_is_asked_for_is_tried_alone_and_a_refusal_told(
    use: Callable[[FakePortAudio], FakePortAudio],
) -> None:
    machine = use(FakePortAudio({(48_000, 1)}, channels=1))
    with pytest.raises(SourceError) as told:
        microphone(rate=44_100, channels=4).open()
    refusal = "microphone 'array' does not open at 44100 Hz with 4 channels: Invalid sample rate"
    assert str(told.value) == refusal
    assert machine.tried == [(44_100, 4)]
    assert machine.terminated


def test_a_device_that_takes_nothing_is_told_with_all_that_was_tried(
    use: Callable[[FakePortAudio], FakePortAudio],
) -> None:
    machine = use(FakePortAudio(set(), channels=1))
    with pytest.raises(SourceError, match=r"16000 Hz with 1 channel: .*; 48000 Hz with 1 channel: "):
        microphone().open()
    assert machine.tried == [(16_000, 1), (48_000, 1)]


def test_sound_that_portaudio_lost_is_missing_in_the_offsets(
    use: Callable[[FakePortAudio], FakePortAudio],
) -> None:
    machine = use(FakePortAudio({(16_000, 1)}))
    source = microphone()
    source.open()
    for lost in (False, False, True, False):
        machine.deliver(BLOCK.tobytes(), lost)
    offsets = [frame.offset for frame in itertools.islice(source.frames(), 4)]
    source.close()
    assert offsets == [0, 512, 3 * 512, 4 * 512]


def test_a_stream_that_stops_because_it_is_closed_at_that_moment_is_no_loss(
    use: Callable[[FakePortAudio], FakePortAudio], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser_agent.sources.microphone.POLL_S", 0.0)
    machine = use(FakePortAudio({(16_000, 1)}))
    source = microphone()
    source.open()

    def close_and_stop() -> bool:
        source.close()
        return False

    machine.running.is_active = close_and_stop
    assert list(source.frames()) == []


def test_a_block_that_comes_at_the_last_moment_is_heard(
    use: Callable[[FakePortAudio], FakePortAudio], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser_agent.sources.microphone.POLL_S", 0.0)
    machine = use(FakePortAudio({(16_000, 1)}))
    source = microphone()
    source.open()

    def deliver_and_stop() -> bool:
        machine.running.is_active = lambda: False
        machine.deliver(BLOCK.tobytes(), False)
        return False

    machine.running.is_active = deliver_and_stop
    frames = source.frames()
    assert next(frames).samples.tolist() == BLOCK.tolist()
    with pytest.raises(SourceLost, match="microphone 'array' stopped delivering sound"):
        next(frames)


def test_the_first_block_may_take_longer_than_the_others(
    use: Callable[[FakePortAudio], FakePortAudio], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser_agent.sources.microphone.POLL_S", 0.0)
    machine = use(FakePortAudio({(16_000, 1)}))
    source = microphone(lost_after_s=1.0)
    source.open()
    deliveries = [FIRST_BLOCK_S, FIRST_BLOCK_S + 0.9]
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.1
        if deliveries and now >= deliveries[0]:
            deliveries.pop(0)
            machine.deliver(BLOCK.tobytes(), False)
        return now

    monkeypatch.setattr("ser_agent.sources.microphone.time", SimpleNamespace(monotonic=clock))
    frames = source.frames()
    assert [next(frames).offset, next(frames).offset] == [0, 512]
    silent_since = now
    with pytest.raises(SourceLost, match=r"microphone 'array' has delivered nothing for 1\.\d s"):
        next(frames)
    assert now - silent_since == pytest.approx(1.0, abs=0.5)


def test_a_device_that_never_delivers_is_lost_too(
    use: Callable[[FakePortAudio], FakePortAudio], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser_agent.sources.microphone.POLL_S", 0.0)
    monkeypatch.setattr("ser_agent.sources.microphone.FIRST_BLOCK_S", 0.0)
    use(FakePortAudio({(16_000, 1)}))
    source = microphone(lost_after_s=0.5)
    source.open()
    with pytest.raises(SourceLost, match="has delivered nothing"):
        next(source.frames())


def test_closed_before_it_is_listened_to_it_gives_nothing(use: Callable[[FakePortAudio], FakePortAudio]) -> None:
    use(FakePortAudio({(16_000, 1)}))
    source = microphone()
    assert list(source.frames()) == []
    source.open()
    source.close()
    assert list(source.frames()) == []


@settings(max_examples=30, deadline=None)
@given(
    rate=st.sampled_from([16_000, 44_100, 48_000]),
    sizes=st.lists(st.integers(100, 5000), min_size=1, max_size=5),
    missing=st.integers(1, 8),
)
def test_where_blocks_are_missing_the_offsets_have_the_same_gap_and_sound_stays_where_it_was(
    rate: int, sizes: list[int], missing: int
) -> None:
    sound = tone(2.0)
    converter = BlockConverter(rate, channels=1)
    blocks = blocks_of(sound, sizes, rate)
    kept = [block for number, block in enumerate(blocks) if number != missing]
    frames = [frame for block in kept if (frame := converter.convert(block)) is not None]
    for early, late in itertools.pairwise(frames):
        assert late.offset >= early.offset + len(early.samples)
    for frame in frames:
        end = frame.offset + len(frame.samples)
        assert frame.captured_at == pytest.approx(100 + frame.offset / SAMPLE_RATE, abs=1e-4)
        assert end <= len(sound) * SAMPLE_RATE / rate + 1
        if rate == SAMPLE_RATE:
            assert np.array_equal(frame.samples, sound[frame.offset : end])
    behind = [block for block in blocks[missing + 1 :] if block.position * SAMPLE_RATE / rate < frames[-1].offset]
    if behind:
        assert round(behind[0].position * SAMPLE_RATE / rate) in {frame.offset for frame in frames}
