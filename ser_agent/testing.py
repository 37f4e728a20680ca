"""For authors of plugins: fakes of every port, and a conformance suite that a plugin's own tests can call.

The ``check_…`` functions raise ``AssertionError`` with a sentence where a port's promise is broken:

    def test_my_detector_keeps_its_promises() -> None:
        check_detector(MyDetector(MyOptions(), context()))
"""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ser_agent.audio import HOP_SAMPLES, SAMPLE_RATE, AudioFrame, Samples, Utterance
from ser_agent.messages import (
    AgentInfo,
    AgentStats,
    AnyMessage,
    Availability,
    EmotionEvent,
    ListeningState,
    MicrophoneState,
    SpeechState,
    ThresholdState,
)
from ser_agent.ports import ModelInfo, PluginContext, answered, distribution_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ser_agent.ports import Answer, AudioSource, EmotionClassifier, EventSink, VoiceActivityDetector

PATIENCE_S = 20.0


def context(site: str = "test") -> PluginContext:
    """What a plugin is constructed with."""
    return PluginContext(site=site, base_dir=Path.cwd())


def tone(duration_s: float, frequency_hz: float = 220.0, amplitude: float = 0.3) -> Samples:
    """A sine: int16, shape ``(duration_s * SAMPLE_RATE,)``."""
    time_s = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    return (amplitude * 32767 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.int16)


def utterance(duration_s: float = 1.0, frequency_hz: float = 220.0) -> Utterance:
    """An utterance that holds a tone."""
    return Utterance(tone(duration_s, frequency_hz), 0, "silence", captured_at=0.0, closed_at=duration_s)


class ScriptedSource:
    """A source that plays given frames; between them it can be lost, as a script says.

    Each item of the script is a frame, or an exception that ``frames`` raises there; after an exception ``open``
    goes on behind it. An exception in ``open_faults`` is raised by one ``open``. Where ``when_dry`` is given it is
    called once the script has been played, and the source then waits, in silence, to be closed.
    """

    def __init__(
        self,
        script: Sequence[AudioFrame | Exception],
        *,
        live: bool = False,
        open_faults: Sequence[Exception] = (),
        when_dry: Callable[[], None] | None = None,
    ) -> None:
        self.live = live
        self.opened = 0
        self._script = list(script)
        self._open_faults = list(open_faults)
        self._when_dry = when_dry
        self._closed = threading.Event()

    def open(self) -> None:
        """Go on with the script."""
        self.opened += 1
        self._closed.clear()
        if self._open_faults:
            raise self._open_faults.pop(0)

    def frames(self) -> Iterator[AudioFrame]:
        """Play the script from where it stands."""
        while self._script and not self._closed.is_set():
            item = self._script.pop(0)
            if isinstance(item, Exception):
                raise item
            yield item
        if self._when_dry is not None:
            self._when_dry()
            self._closed.wait()

    def close(self) -> None:
        """End ``frames``."""
        self._closed.set()


class LoudnessDetector:
    """A detector for tests: what is louder than a whisper is speech. Has no state."""

    def probability(self, hop: Samples) -> float:
        """1 for a loud hop, else 0."""
        return float(np.abs(hop).max(initial=0) > 1000)

    def reset(self) -> None:
        """Nothing to forget."""


class FakeClassifier:
    """A classifier that always answers the same, or as a given function says."""

    def __init__(self, answer: Callable[[Utterance], Answer] | None = None) -> None:
        self._answer = answer or (lambda _: {"happy": 0.7, "neutral": 0.2, "sad": 0.1})
        self.loaded = False
        self.batches: list[int] = []

    def load(self) -> ModelInfo:
        """Be ready."""
        self.loaded = True
        return ModelInfo("fake@1", ("happy", "neutral", "sad"), "MIT", ("en",))

    def classify(self, utterances: Sequence[Utterance]) -> Sequence[Answer]:
        """Answer."""
        self.batches.append(len(utterances))
        return [self._answer(utterance) for utterance in utterances]

    def close(self) -> None:
        """Be no longer ready."""
        self.loaded = False


class RecordingSink:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.messages: list[AnyMessage] = []
        self.calls: list[str] = []

    @property
    def events(self) -> list[EmotionEvent]:
        """The emotion events among the messages."""
        return [message for message in self.messages if isinstance(message, EmotionEvent)]

    def open(self) -> None:
        """Note it."""
        self.calls.append("open")

    def publish(self, message: AnyMessage) -> None:
        """Keep the message."""
        self.messages.append(message)

    def flush(self, timeout_s: float) -> None:  # noqa: ARG002 - the port's signature
        """Note it."""
        self.calls.append("flush")

    def close(self) -> None:
        """Note it."""
        self.calls.append("close")

    def lost(self) -> int:
        """Nothing is ever lost."""
        return 0


def frames_of(samples: Samples, size: int = HOP_SAMPLES, *, starts_stream: bool = False) -> list[AudioFrame]:
    """Cut samples into frames that follow one another; the first may start a stream."""
    return [
        AudioFrame(samples[start : start + size], start, start / SAMPLE_RATE, starts_stream and start == 0)
        for start in range(0, len(samples), size)
    ]


def check_detector(detector: VoiceActivityDetector) -> None:
    """Raise where a detector breaks a promise of its port."""
    rng = np.random.default_rng(1)
    sound = np.concatenate((np.zeros(HOP_SAMPLES * 8), rng.normal(0, 3000, HOP_SAMPLES * 24))).astype(np.int16)
    hops = sound.reshape(-1, HOP_SAMPLES)
    detector.reset()
    first = [detector.probability(hop) for hop in hops]
    detector.reset()
    again = [detector.probability(hop) for hop in hops]
    assert all(0.0 <= p <= 1.0 for p in first), "a probability lies outside 0 to 1"  # noqa: S101
    assert first == again, "the same hops after reset give other answers"  # noqa: S101


def check_classifier(classifier: EmotionClassifier, utterances: Sequence[Utterance] | None = None) -> None:
    """Raise where a classifier breaks a promise of its port.

    Args:
        classifier: not loaded yet.
        utterances: what to classify, of several lengths; by default tones, which may well be ``NON_SPEECH``.
    """
    info = classifier.load()
    batch = utterances or [utterance(0.5, 200), utterance(2.0, 300), utterance(1.1, 400)]
    together = answered(classifier.classify(batch))
    alone = answered([classifier.classify([one])[0] for one in batch])
    classifier.close()
    classifier.close()
    assert len(together) == len(batch), "not one answer for each utterance"  # noqa: S101
    for one, other in zip(map(distribution_of, together), map(distribution_of, alone), strict=True):
        if one is None or other is None:
            assert one is other, "an utterance's neighbours change its answer"  # noqa: S101
            continue
        assert set(one) == set(info.labels), "a distribution has other labels than the model"  # noqa: S101
        assert all(0.0 <= p <= 1.0 for p in one.values()), "a probability lies outside 0 to 1"  # noqa: S101
        assert math.isclose(sum(one.values()), 1.0, abs_tol=1e-3), "a distribution does not sum to 1"  # noqa: S101
        near = all(math.isclose(one[label], other[label], abs_tol=1e-3) for label in one)
        assert near, "an utterance's neighbours change its answer"  # noqa: S101


def check_source(source: AudioSource, frames: int = 20) -> None:
    """Raise where a source that delivers sound, and goes on when opened again, breaks a promise of its port."""
    for _ in range(2):
        source.open()
        expected: int | None = None
        for count, frame in enumerate((s for s in source.frames() if isinstance(s, AudioFrame)), start=1):
            assert frame.samples.dtype == np.int16, "samples are not int16"  # noqa: S101
            assert frame.samples.ndim == 1, "samples are not mono"  # noqa: S101
            assert len(frame.samples) > 0, "a frame is empty"  # noqa: S101
            assert expected in {None, frame.offset}, "offsets have a gap"  # noqa: S101
            expected = frame.offset + len(frame.samples)
            if count >= frames:
                break
        source.close()
        source.close()
        assert expected is not None, "frames() ended without any sound"  # noqa: S101
    source.open()
    faults: list[Exception] = []
    reader = threading.Thread(target=_read_to_the_end, args=(source, faults), daemon=True)
    reader.start()
    source.close()
    reader.join(PATIENCE_S)
    assert not reader.is_alive(), "close() from another thread does not end frames()"  # noqa: S101
    assert not faults, f"close() from another thread makes frames() raise {faults[0]!r}"  # noqa: S101


def _read_to_the_end(source: AudioSource, faults: list[Exception]) -> None:
    try:
        for _ in source.frames():
            pass
    except Exception as error:  # noqa: BLE001 - the test's thread reports it
        faults.append(error)


def check_sink(sink: EventSink, event: EmotionEvent) -> None:
    """Raise where a sink breaks a promise of its port; the sink can be opened and takes every message."""
    sink.open()
    for message in (
        Availability(online=True),
        MicrophoneState(connected=True),
        SpeechState(speaking=True),
        ListeningState(on=True),
        ThresholdState(value=0.4),
        event,
        SpeechState(speaking=False),
        _some_info(event),
        _some_stats(),
    ):
        sink.publish(message)
    sink.flush(PATIENCE_S)
    assert sink.lost() == 0, "a message was lost though nothing was wrong"  # noqa: S101
    sink.close()
    sink.close()


def _some_info(event: EmotionEvent) -> AgentInfo:
    return AgentInfo(
        version="0.1.0",
        site=event.agent,
        model=event.model,
        model_licence=None,
        labels=tuple(score.label for score in event.emotions),
        languages=(),
        config_digest="0" * 64,
        instance=event.id,
    )


def _some_stats() -> AgentStats:
    return AgentStats(
        uptime_s=60.0,
        utterances=3,
        published=1,
        failed={"classifier": 1},
        dropped={"too_short": 1},
        frames_dropped=0,
        lost_by_sink={"sink": 0},
        queues={"utterances": 0},
        latency_p50_ms=None,
        latency_p95_ms=None,
        real_time_factor=None,
        level_dbfs=None,
        cpu_percent=2.0,
        rss_mb=None,
    )
