"""The microphone on a real PulseAudio: what is played into its speaker is what must be heard."""

from __future__ import annotations

import itertools
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
import soundfile
from support.mqtt import wait_until

from ser_agent.audio import SAMPLE_RATE, AudioFrame, Samples, level_dbfs
from ser_agent.audio_files import read_utterance
from ser_agent.errors import SourceError, SourceLost
from ser_agent.sources.devices import PORTAUDIO, has_microphone, list_devices
from ser_agent.sources.microphone import MicrophoneOptions, MicrophoneSource
from ser_agent.testing import check_source, context, tone

if TYPE_CHECKING:
    from support.pulse import PulseServer

pytestmark = pytest.mark.pulse

CLIP = Path(__file__).parents[1] / "data" / "1066_IOM_NEU_XX.opus"
PATIENCE_S = 30.0


def options(**keys: Any) -> MicrophoneOptions:  # noqa: ANN401 - of many kinds
    """Unless the keys say otherwise, no pause of a busy machine is a loss, of the device or of sound."""
    merged: dict[str, Any] = {"buffer_s": 30.0, "lost_after_s": 60.0, **keys}
    return MicrophoneOptions(**merged)


def microphone(**keys: Any) -> MicrophoneSource:  # noqa: ANN401 - of many kinds
    return MicrophoneSource(options(**keys), context())


class Listening:
    """A microphone that is open, and a thread that keeps what it hears."""

    def __init__(self, source: MicrophoneSource) -> None:
        self.source = source
        self.frames: list[AudioFrame] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def _listen(self) -> None:
        try:
            for frame in self.source.frames():
                self.frames.append(frame)
        except SourceLost as lost:
            self.error = lost

    @property
    def sound(self) -> Samples:
        return np.concatenate([np.empty(0, dtype=np.int16), *(frame.samples for frame in list(self.frames))])

    @property
    def loud(self) -> Samples:
        """From the first to the last sample that is no silence."""
        sounding = np.flatnonzero(np.abs(self.sound) > 30)
        return self.sound[sounding[0] : sounding[-1] + 1] if len(sounding) else self.sound[:0]

    def wait_for_the_end(self) -> Exception | None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
        return self.error

    def __enter__(self) -> Self:
        self.source.open()
        self._thread.start()
        wait_until(lambda: len(self.frames) > 5 or self.error, "frames come")
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        self._thread.join(PATIENCE_S)


def played(pulse: PulseServer, folder: Path, sound: np.ndarray[Any, np.dtype[np.int16]], rate: int) -> int:
    """Play a sound; gives its length in samples at 16 kHz."""
    soundfile.write(folder / "played.wav", sound, rate)
    pulse.play(folder / "played.wav")
    return round(len(sound) * SAMPLE_RATE / rate)


def frequency_hz(sound: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * SAMPLE_RATE / len(sound)


def has_no_gaps(frames: list[AudioFrame]) -> bool:
    ends = [frame.offset + len(frame.samples) for frame in frames]
    return [frame.offset for frame in frames] == [0, *ends[:-1]]


def test_speech_arrives_sample_by_sample_and_without_gaps(pulse: PulseServer, tmp_path: Path) -> None:
    speech = read_utterance(CLIP)
    with Listening(microphone()) as listening:
        played(pulse, tmp_path, speech, SAMPLE_RATE)
        wait_until(lambda: speech.tobytes() in listening.sound.tobytes(), "the speech is heard")
    assert has_no_gaps(listening.frames)
    assert listening.source.dropped_blocks == 0
    times = [frame.captured_at - frame.offset / SAMPLE_RATE for frame in listening.frames]
    assert max(times) - min(times) < 5.0


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_at_another_rate_sound_is_resampled(pulse: PulseServer, tmp_path: Path, rate: int) -> None:
    pulse.kill()
    pulse.start(rate=rate)
    time_s = np.arange(rate) / rate
    sine = (9000 * np.sin(2 * np.pi * 440 * time_s)).astype(np.int16)
    with Listening(microphone(rate=rate)) as listening:
        length = played(pulse, tmp_path, sine, rate)
        wait_until(lambda: len(listening.loud) >= length - 200, "the tone is heard")
    assert len(listening.loud) == pytest.approx(length, abs=200)
    assert frequency_hz(listening.loud) == pytest.approx(440, abs=2)
    assert np.abs(listening.loud).max() == pytest.approx(9000, rel=0.05)
    assert has_no_gaps(listening.frames)


def test_several_channels_are_averaged(
    pulse: PulseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulse.control("load-module", "module-null-sink", "sink_name=stereo", f"rate={SAMPLE_RATE}", "channels=2")
    monkeypatch.setenv("PULSE_SOURCE", "stereo.monitor")
    left, right = tone(1.0, 440, amplitude=0.4), tone(1.0, 440, amplitude=0.2)
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, right], axis=1), SAMPLE_RATE)
    with Listening(microphone(channels=2)) as listening:
        pulse.play(tmp_path / "stereo.wav", sink="stereo")
        wait_until(lambda: len(listening.loud) > 15_000, "the tone is heard")
    assert level_dbfs(listening.loud) == pytest.approx(level_dbfs(tone(1.0, 440, amplitude=0.3)), abs=0.2)


@pytest.mark.parametrize(
    ("device", "name"),
    [("pulse", "pulse"), ("PUL", "pulse"), ("default", "default"), (0, "pulse"), (1, "default")],
)
def test_a_device_is_chosen_by_name_part_of_it_or_index(pulse: PulseServer, device: str | int, name: str) -> None:
    source = microphone(device=device)
    source.open()
    assert source._device is not None
    assert source._device.name == name
    source.close()


@pytest.mark.parametrize("device", ["USB", 99])
def test_a_device_that_is_not_there_is_told_with_those_there_are(pulse: PulseServer, device: str | int) -> None:
    with pytest.raises(SourceError, match=rf"no microphone {device!r}; known: 0: pulse, 1: default"):
        microphone(device=device).open()


def test_the_devices_are_listed_with_the_rates_that_they_take(pulse: PulseServer) -> None:
    devices = list_devices()
    assert {"pulse", "default"} <= {device.name for device in devices}
    assert sum(device.is_default for device in devices) == 1
    assert all(16_000 in device.rates for device in devices)
    assert has_microphone()


def test_a_machine_without_any_device_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nothing")
    if has_microphone():
        pytest.skip("this machine has a sound card")
    assert list_devices() == []
    with pytest.raises(SourceError, match="this machine has no microphone"):
        microphone().open()


def test_what_the_device_does_not_take_is_told(pulse: PulseServer) -> None:
    with pytest.raises(SourceError, match="microphone 'default' does not open at 16000 Hz with 64 channels: "):
        microphone(channels=64).open()


def test_a_server_that_dies_is_a_loss_and_once_it_is_back_so_is_the_sound(pulse: PulseServer) -> None:
    source = microphone()
    with Listening(source) as listening:
        pulse.kill()
        lost = listening.wait_for_the_end()
        assert isinstance(lost, SourceLost)
        assert "stopped delivering sound" in str(lost)
        with pytest.raises(SourceError):
            source.open()
    pulse.start()
    with Listening(source) as again:
        assert again.error is None
        assert again.frames[0].offset == 0


def test_a_source_that_is_suspended_is_a_loss_though_portaudio_believes_that_it_runs(
    pulse: PulseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = microphone(lost_after_s=1.0)
    with Listening(source) as listening:
        pulse.control("suspend-source", "microphone", "1")
        lost = listening.wait_for_the_end()
        assert isinstance(lost, SourceLost)
        assert "has delivered nothing for" in str(lost)
    pulse.control("suspend-source", "microphone", "0")
    monkeypatch.setattr(source, "_options", options())
    with Listening(source) as again:
        assert again.error is None


def test_a_server_that_hangs_holds_nobody_up_and_the_log_is_still_heard(
    pulse: PulseServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    source = microphone(lost_after_s=0.5)
    with Listening(source) as listening:
        monkeypatch.setattr("ser_agent.sources.microphone.CLOSE_S", 0.2)
        monkeypatch.setattr("ser_agent.sources.microphone.OPEN_S", 0.5)
        monkeypatch.setattr("ser_agent.sources.devices.OPEN_S", 0.5)
        pulse.hang()
        assert isinstance(listening.wait_for_the_end(), SourceLost)
        source.close()
        with pytest.raises(SourceError, match="the audio system does not answer"):
            source.open()
        with pytest.raises(SourceError, match="the audio system does not answer"):
            list_devices()
        assert not has_microphone()
        capfd.readouterr()
        os.write(2, b"still heard\n")
        assert "still heard" in capfd.readouterr().err
        pulse.go_on()
    monkeypatch.setattr("ser_agent.sources.microphone.OPEN_S", PATIENCE_S)
    monkeypatch.setattr(source, "_options", options())
    with Listening(source) as again:
        assert again.error is None


def test_what_opens_only_after_it_was_given_up_is_released_again(
    pulse: PulseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser_agent.sources.microphone.OPEN_S", 0.2)
    source = microphone()
    pulse.hang()
    with pytest.raises(SourceError, match="the audio system does not answer"):
        source.open()
    pulse.go_on()
    PORTAUDIO.run(lambda: None, PATIENCE_S)
    assert source._capture is None
    assert list(source.frames()) == []


def test_for_a_listener_that_is_too_slow_the_oldest_sound_is_dropped_counted_and_missing_in_the_offsets(
    pulse: PulseServer,
) -> None:
    source = microphone(buffer_s=0.5)
    source.open()
    frames = source.frames()
    before = next(frames)
    dropped = source.dropped_blocks
    wait_until(lambda: source.dropped_blocks >= dropped + 5, "blocks are dropped")
    after = next(frames)
    gap = after.offset - (before.offset + len(before.samples))
    source.close()
    assert gap >= 5 * len(before.samples)
    assert gap % len(before.samples) == 0
    rest = [after, *frames]
    assert len(rest) >= 10
    assert all(late.offset >= early.offset + len(early.samples) for early, late in itertools.pairwise(rest))


def test_close_from_another_thread_ends_the_listening_without_a_loss(pulse: PulseServer) -> None:
    with Listening(microphone()) as listening:
        listening.source.close()
        assert listening.wait_for_the_end() is None


def test_it_keeps_the_promises_of_a_source(pulse: PulseServer) -> None:
    check_source(microphone())


def test_it_goes_on_while_nobody_listens() -> None:
    assert microphone().live
