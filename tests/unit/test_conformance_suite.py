"""The suite for plugin authors: it accepts what keeps its promises, and says in a sentence what does not."""

from __future__ import annotations

import itertools
import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.events import an_event

from ser_agent.audio import HOP_SAMPLES, AudioFrame, Samples, Utterance
from ser_agent.errors import SinkError, SourceLost
from ser_agent.messages import AgentStats, AnyMessage, EmotionEvent
from ser_agent.plugins import available
from ser_agent.ports import NON_SPEECH, Answer, ModelInfo
from ser_agent.testing import (
    FakeClassifier,
    LoudnessDetector,
    RecordingSink,
    ScriptedSource,
    check_classifier,
    check_detector,
    check_sink,
    check_source,
    context,
    frames_of,
    tone,
    utterance,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ser_agent.ports import AudioSource, EmotionClassifier, EventSink, VoiceActivityDetector

HOP = np.zeros(HOP_SAMPLES, dtype=np.int16)


class EndlessSource:
    """Silence for ever, or what a subclass makes of it."""

    live = False

    def __init__(self) -> None:
        self._closed = False

    def open(self) -> None:
        self._closed = False

    def frames(self) -> Iterator[AudioFrame]:
        for number in itertools.count():
            if self._closed:
                return
            yield self.frame(number)

    def frame(self, number: int) -> AudioFrame:
        return AudioFrame(HOP, number * HOP_SAMPLES, 0.0)

    def close(self) -> None:
        self._closed = True


class FloatSource(EndlessSource):
    def frame(self, number: int) -> AudioFrame:
        return AudioFrame(HOP.astype(np.float32), number * HOP_SAMPLES, 0.0)


class StereoSource(EndlessSource):
    def frame(self, number: int) -> AudioFrame:
        return AudioFrame(np.zeros((HOP_SAMPLES, 2), dtype=np.int16), number * HOP_SAMPLES, 0.0)


class EmptySource(EndlessSource):
    def frame(self, number: int) -> AudioFrame:
        return AudioFrame(HOP[:0], 0, 0.0)


class GapSource(EndlessSource):
    def frame(self, number: int) -> AudioFrame:
        return AudioFrame(HOP, number * (HOP_SAMPLES + 1), 0.0)


class MuteSource(EndlessSource):
    def frames(self) -> Iterator[AudioFrame]:
        return iter(())


class OneTimeSource(EndlessSource):
    """Ends for good when it is closed."""

    def open(self) -> None:
        """Not opened again."""


class DeafToCloseSource(EndlessSource):
    def close(self) -> None:
        """It goes on."""


class RaisingAtCloseSource(EndlessSource):
    def frames(self) -> Iterator[AudioFrame]:
        yield from super().frames()
        raise SourceLost("closed")


class OpenSink(RecordingSink):
    def __init__(self, *refused: type[AnyMessage], lost: int = 0) -> None:
        super().__init__()
        self._refused = refused
        self._lost = lost

    def publish(self, message: AnyMessage) -> None:
        if isinstance(message, self._refused):
            raise SinkError(f"cannot take {type(message).__name__}")
        super().publish(message)

    def lost(self) -> int:
        return self._lost


class ClosesOnceSink(RecordingSink):
    def close(self) -> None:
        if "close" in self.calls:
            raise ValueError("already closed")
        super().close()


class Detector:
    """Answers as a function of the hop and of how many came before since it was made."""

    def __init__(self, answer: Callable[[Samples, int], float]) -> None:
        self._answer = answer
        self._count = 0

    def probability(self, hop: Samples) -> float:
        self._count += 1
        return self._answer(hop, self._count)

    def reset(self) -> None:
        """What it forgets, it does not."""


class Classifier(FakeClassifier):
    """Answers with a function of all utterances."""

    def __init__(self, answers: Callable[[Sequence[Utterance]], Sequence[Answer]]) -> None:
        super().__init__()
        self._answers = answers

    def load(self) -> ModelInfo:
        return ModelInfo("two@1", ("happy", "sad"))

    def classify(self, utterances: Sequence[Utterance]) -> Sequence[Answer]:
        return self._answers(utterances)


def each(answer: Mapping[str, float]) -> Classifier:
    """A classifier that gives each utterance the same answer."""
    return Classifier(lambda utterances: [answer] * len(utterances))


def softer_among_others(utterances: Sequence[Utterance]) -> list[Mapping[str, float]]:
    return [{"happy": 1 / len(utterances), "sad": 1 - 1 / len(utterances)} for _ in utterances]


def deaf_among_others(utterances: Sequence[Utterance]) -> list[Answer]:
    return [NON_SPEECH] * len(utterances) if len(utterances) > 1 else [{"happy": 0.5, "sad": 0.5}]


@pytest.mark.parametrize(
    "source", [EndlessSource(), ScriptedSource(frames_of(tone(4.0)))], ids=["endless", "script"]
)
def test_a_source_that_keeps_its_promises_is_accepted(source: AudioSource) -> None:
    check_source(source)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (FloatSource(), "samples are not int16"),
        (StereoSource(), "samples are not mono"),
        (EmptySource(), "a frame is empty"),
        (GapSource(), "offsets have a gap"),
        (MuteSource(), "frames() ended without any sound"),
        (OneTimeSource(), "frames() ended without any sound"),
        (DeafToCloseSource(), "close() from another thread does not end frames()"),
        (RaisingAtCloseSource(), "close() from another thread makes frames() raise SourceLost('closed')"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, EndlessSource) else "",
)
def test_a_source_that_breaks_a_promise_is_told_which(
    source: EndlessSource, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(source, DeafToCloseSource):
        monkeypatch.setattr("ser_agent.testing.PATIENCE_S", 0.2)
    with pytest.raises(AssertionError) as told:
        check_source(source)
    assert str(told.value).startswith(sentence)
    source._closed = True  # the thread of a reader that could not be ended otherwise


def test_a_detector_that_keeps_its_promises_is_accepted() -> None:
    check_detector(LoudnessDetector())


@pytest.mark.parametrize(
    ("detector", "sentence"),
    [
        (Detector(lambda _hop, _count: 1.01), "a probability lies outside 0 to 1"),
        (Detector(lambda _hop, _count: -0.01), "a probability lies outside 0 to 1"),
        (Detector(lambda _hop, _count: math.nan), "a probability lies outside 0 to 1"),
        (Detector(lambda _hop, count: 1 / count), "the same hops after reset give other answers"),
    ],
)
def test_a_detector_that_breaks_a_promise_is_told_which(detector: VoiceActivityDetector, sentence: str) -> None:
    with pytest.raises(AssertionError) as told:
        check_detector(detector)
    assert str(told.value).startswith(sentence)


def test_a_classifier_that_keeps_its_promises_is_accepted() -> None:
    classifier = FakeClassifier()
    check_classifier(classifier)
    assert not classifier.loaded


def test_a_classifier_may_hear_that_nobody_spoke_and_be_shown_other_utterances() -> None:
    def answers(utterances: Sequence[Utterance]) -> list[Answer]:
        return [NON_SPEECH if one.duration_s < 1 else {"happy": 0.25, "sad": 0.75} for one in utterances]

    check_classifier(Classifier(answers))
    check_classifier(Classifier(answers), [utterance(1.5), utterance(3.0)])
    with pytest.raises(AssertionError, match="other labels"):
        check_classifier(each({"happy": 1.0}), [utterance(1.5)])


@pytest.mark.parametrize(
    ("classifier", "sentence"),
    [
        (Classifier(lambda _: [{"happy": 0.5, "sad": 0.5}]), "not one answer for each utterance"),
        (each({"happy": 1.0}), "a distribution has other labels than the model"),
        (each({"happy": 0.5, "sad": 0.5, "bored": 0.0}), "a distribution has other labels than the model"),
        (each({"happy": 1.5, "sad": -0.5}), "a probability lies outside 0 to 1"),
        (each({"happy": math.nan, "sad": 0.5}), "a probability lies outside 0 to 1"),
        (each({"happy": 0.6, "sad": 0.6}), "a distribution does not sum to 1"),
        (Classifier(softer_among_others), "an utterance's neighbours change its answer"),
        (Classifier(deaf_among_others), "an utterance's neighbours change its answer"),
    ],
)
def test_a_classifier_that_breaks_a_promise_is_told_which(classifier: EmotionClassifier, sentence: str) -> None:
    with pytest.raises(AssertionError) as told:
        check_classifier(classifier)
    assert str(told.value).startswith(sentence)


def test_the_built_in_sink_for_files_and_the_recording_one_are_accepted(tmp_path: Path) -> None:
    entry = available("sinks")["jsonlines"]
    assert entry.options is not None
    assert entry.factory is not None
    options = entry.options.model_validate_json(json.dumps({"path": str(tmp_path / "events.jsonl")}))
    check_sink(entry.factory(options, context()), an_event())
    (line,) = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["id"] == an_event().id
    recording = RecordingSink()
    check_sink(recording, an_event())
    assert recording.calls == ["open", "flush", "close", "close"]


@pytest.mark.parametrize(
    ("sink", "error", "sentence"),
    [
        (OpenSink(lost=1), AssertionError, "a message was lost though nothing was wrong"),
        (OpenSink(AgentStats), SinkError, "cannot take AgentStats"),
        (OpenSink(EmotionEvent), SinkError, "cannot take EmotionEvent"),
        (ClosesOnceSink(), ValueError, "already closed"),
    ],
)
def test_a_sink_that_breaks_a_promise_is_told_which(
    sink: EventSink, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as told:
        check_sink(sink, an_event())
    assert str(told.value).startswith(sentence)


def test_the_sounds_for_tests_are_as_long_and_as_loud_as_asked() -> None:
    sound = tone(0.5, frequency_hz=1000, amplitude=0.5)
    assert (len(sound), sound.dtype) == (8000, np.dtype(np.int16))
    assert np.abs(sound).max() == pytest.approx(16384, abs=10)
    said = utterance(2.0)
    assert (said.duration_s, said.closed_at) == (2.0, 2.0)


def test_sound_is_cut_into_frames_that_follow_one_another_and_the_first_may_start_a_stream() -> None:
    frames = frames_of(tone(0.1), size=500, starts_stream=True)
    assert [frame.offset for frame in frames] == [0, 500, 1000, 1500]
    assert [len(frame.samples) for frame in frames] == [500, 500, 500, 100]
    assert [frame.starts_stream for frame in frames] == [True, False, False, False]
    assert np.array_equal(np.concatenate([frame.samples for frame in frames]), tone(0.1))
