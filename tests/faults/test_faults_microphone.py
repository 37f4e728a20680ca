"""A microphone that is unplugged, replaced, mute, too loud, or delivers when it likes. The clock is made up."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.devices import FakeCapture, FakePortAudio
from support.faults import balanced
from support.life import Life
from support.mqtt import wait_until
from support.rig import Rig

from ser_agent.audio import SAMPLE_RATE, Samples
from ser_agent.messages import Availability, MicrophoneState
from ser_agent.sources.microphone import MicrophoneSource
from ser_agent.sources.portaudio import DeviceInfo
from ser_agent.sources.sound_check import SILENT_S
from ser_agent.testing import context, tone

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 512
PATIENCE_S = 60.0
HUM = np.tile(np.array([3, -3], dtype=np.int16), SAMPLE_RATE // 2)
SPOKEN = np.concatenate([HUM, tone(1.5), HUM])


class Machine(FakePortAudio):
    """Devices that deliver what a test has them hear, at moments of a clock that is made up."""

    def __init__(self) -> None:
        super().__init__({(16_000, 1)})
        self.now = 1000.0
        self.source = MicrophoneSource(MicrophoneSource.Options(buffer_s=10.0), context())

    def hear(self, sound: Samples, pace: float = 1.0) -> None:
        """Deliver a sound block by block, so fast by the clock; no faster than it is listened to."""
        for number, start in enumerate(range(0, len(sound), BLOCK)):
            self.now += BLOCK / SAMPLE_RATE / pace
            self.deliver(sound[start : start + BLOCK].tobytes(), False)
            if number % 100 == 99:
                self.wait_until_heard()
        self.wait_until_heard()

    def wait_until_heard(self) -> None:
        wait_until(lambda: len(self.source._blocks) == 0, "all is listened to", PATIENCE_S)

    def wait_until_open(self) -> None:
        running: object = self.running
        wait_until(lambda: self.source._capture is running, "the device is open", PATIENCE_S)

    def unplug(self) -> None:
        """The device goes: its stream is no longer active, and it is not listed any more."""
        gone, self.running = self.running, FakeCapture()
        self.devices = []
        gone.is_active = lambda: False

    def plug_in(self, device: DeviceInfo) -> None:
        self.devices = [device]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made_up = Machine()
    clock = SimpleNamespace(monotonic=lambda: made_up.now)
    monkeypatch.setattr("ser_agent.sources.microphone.initialised", lambda: made_up)
    monkeypatch.setattr("ser_agent.sources.microphone.time", clock)
    monkeypatch.setattr("ser_agent.sources.microphone.POLL_S", 0.01)
    monkeypatch.setattr("ser_agent.pipeline.listen.BACKOFF_LEAST_S", 0.01)
    monkeypatch.setattr("ser_agent.pipeline.listen.BACKOFF_MOST_S", 0.02)
    return made_up


@pytest.fixture
def life(machine: Machine) -> Iterator[Life]:
    """An agent that listens to it, and that is to account for every utterance at its end."""
    with Life(Rig(machine.source)) as living:
        machine.wait_until_open()
        yield living
    assert living.fault is None
    assert balanced(living.agent.books)


def events(life: Life, count: int) -> list[Any]:
    wait_until(lambda: len(life.rig.record.events) >= count, f"{count} events come", PATIENCE_S)
    return life.rig.record.events


def test_unplugged_while_somebody_speaks_it_ends_the_utterance_and_hears_again_once_plugged_in(
    machine: Machine, life: Life
) -> None:
    (device,) = machine.devices
    machine.hear(np.concatenate([HUM, tone(1.5)]))
    machine.unplug()
    life.wait_for(MicrophoneState(connected=False, lost=True))
    assert [event.end_reason for event in events(life, 1)] == ["source_lost"]
    machine.plug_in(device)
    machine.wait_until_open()
    machine.hear(SPOKEN)
    assert [event.end_reason for event in events(life, 2)] == ["source_lost", "silence"]
    assert life.told(MicrophoneState)[-1] == MicrophoneState(connected=True)
    assert life.told(Availability) == [Availability(online=True)]


def test_replaced_by_another_one_with_another_number_and_another_rate_it_is_heard_too(
    machine: Machine, life: Life
) -> None:
    machine.hear(SPOKEN)
    machine.unplug()
    life.wait_for(MicrophoneState(connected=False, lost=True))
    machine._takes = {(48_000, 2)}
    machine.plug_in(DeviceInfo(7, "another", 2, native_rate=48_000, is_default=False))
    machine.wait_until_open()
    assert machine.tried[-1] == (48_000, 2)
    machine.hear(np.repeat(SPOKEN, 6))
    first, second = events(life, 2)
    assert second.duration_s == pytest.approx(first.duration_s, abs=0.1)


def test_a_minute_of_nothing_but_zeros_is_told_and_counted_and_the_microphone_stays_open(
    machine: Machine, life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    machine.hear(SPOKEN)
    machine.hear(np.zeros((SILENT_S - 1) * SAMPLE_RATE, dtype=np.int16))
    assert "nothing but zeros" not in caplog.text
    machine.hear(np.zeros(3 * SAMPLE_RATE, dtype=np.int16))
    wait_until(lambda: "microphone 'array' has delivered nothing but zeros for 60 s" in caplog.text, "it is told")
    assert life.agent.stats().source["silent_s"] in range(SILENT_S, SILENT_S + 3)
    machine.hear(np.zeros(30 * SAMPLE_RATE, dtype=np.int16))
    assert caplog.text.count("nothing but zeros") == 1
    machine.hear(SPOKEN)
    events(life, 2)
    assert life.agent.stats().source["silent_s"] == 0
    assert "no silence any more" in caplog.text
    machine.hear(np.zeros((SILENT_S + 1) * SAMPLE_RATE, dtype=np.int16))
    assert life.agent.stats().source["silent_s"] >= SILENT_S
    assert caplog.text.count("nothing but zeros") == 1, "not again within the hour"
    assert machine.tried == [(16_000, 1)]
    assert life.told(MicrophoneState) == [MicrophoneState(connected=True)]


def test_sound_that_is_too_loud_for_the_device_is_counted_and_told_once_a_minute_shows_it(
    machine: Machine, life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    too_loud = np.clip(tone(5.0).astype(np.int32) * 8, -32768, 32767).astype(np.int16)
    machine.hear(too_loud)
    machine.hear(np.tile(HUM, 57))
    wait_until(lambda: "too loud in 8% of its sound: turn its gain down" in caplog.text, "it is told", PATIENCE_S)
    assert life.agent.stats().source["clipped_blocks"] == pytest.approx(5 * SAMPLE_RATE / BLOCK, abs=2)
    machine.hear(np.tile(HUM, 62))
    wait_until(lambda: "no clipping any more" in caplog.text, "the end of it is told", PATIENCE_S)


@pytest.mark.parametrize("pace", [0.5, 1.5])
def test_a_device_that_delivers_too_slowly_or_too_fast_is_told_and_durations_are_those_of_its_samples(
    machine: Machine, life: Life, caplog: pytest.LogCaptureFixture, pace: float
) -> None:
    machine.hear(SPOKEN)
    machine.hear(SPOKEN, pace)
    first, second = events(life, 2)
    assert second.duration_s == pytest.approx(first.duration_s, abs=0.1)
    machine.hear(np.tile(HUM, 130), pace)
    wait_until(lambda: "s of sound a second, which distorts it" in caplog.text, "it is told", PATIENCE_S)
    assert life.agent.stats().source["pace_percent"] == pytest.approx(100 * pace, abs=1)
    assert life.agent.stats().frames_dropped == 0


def test_bursts_that_the_buffer_holds_lose_nothing(machine: Machine, life: Life) -> None:
    burst = len(SPOKEN) // 3
    for start in range(0, len(SPOKEN), burst):
        machine.now += burst / SAMPLE_RATE
        for block in np.array_split(SPOKEN[start : start + burst], 40):
            machine.deliver(block.tobytes(), False)
        machine.wait_until_heard()
    machine.hear(SPOKEN)
    first, second = events(life, 2)
    assert first.duration_s == pytest.approx(second.duration_s, abs=0.1)
    assert life.agent.stats().frames_dropped == 0


def test_of_a_burst_that_the_buffer_does_not_hold_the_newest_sound_is_kept_and_the_rest_counted(
    machine: Machine, life: Life
) -> None:
    machine.hear(HUM)
    blocks = machine.source._blocks
    with blocks._changed:  # nobody can listen meanwhile
        for _ in range(1000):
            machine.deliver(HUM[:BLOCK].tobytes(), False)
    machine.wait_until_heard()
    machine.hear(SPOKEN)
    events(life, 1)
    assert life.agent.stats().frames_dropped == machine.source.dropped_blocks
    assert machine.source.dropped_blocks in range(1000 - 313, 1000 - 310)
