"""An agent in this process, made of fakes or of what a test puts in their place."""

from __future__ import annotations

import queue
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ser_agent.agent import Agent
from ser_agent.assistant_voice import AssistantVoice
from ser_agent.audio import SAMPLE_RATE, AudioFrame, Samples
from ser_agent.commands import CommandDesk
from ser_agent.parts import Parts
from ser_agent.pipeline.stage import Requested
from ser_agent.segmenter import NO_DRAFTS, Drafting, SegmenterOptions
from ser_agent.state import StateFile
from ser_agent.systemd import Notifier
from ser_agent.testing import FakeClassifier, LoudnessDetector, RecordingSink, ScriptedSource, frames_of, tone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ser_agent.agent import Outcome
    from ser_agent.commands import Command, Reply
    from ser_agent.pipeline.stage import Occurrences
    from ser_agent.ports import AssistantWatch, AudioSource, EmotionClassifier, EventSink, VoiceActivityDetector
    from ser_agent.recording import Recorder

SPEECH = tone(1.0)
PAUSE = np.zeros(SAMPLE_RATE, dtype=np.int16)


def speech(*stretches: Samples) -> list[AudioFrame]:
    """Stretches of sound, one after the other, as frames."""
    return frames_of(np.concatenate(stretches))


@dataclass
class Rig:
    """An agent made of fakes."""

    source: AudioSource = field(default_factory=lambda: ScriptedSource(speech(SPEECH, PAUSE)))
    classifier: EmotionClassifier = field(default_factory=FakeClassifier)
    sinks: Mapping[str, EventSink] = field(default_factory=lambda: {"record": RecordingSink()})
    detector: VoiceActivityDetector = field(default_factory=LoudnessDetector)
    min_confidence: float | None = None
    time_limit_s: float = 60.0
    stats_interval_s: float = 60.0
    notifier: Notifier = field(default_factory=lambda: Notifier({}))
    hard_mute: bool = False
    state: StateFile = field(default_factory=StateFile)
    objection: Callable[[Outcome], str | None] = lambda _: None
    recorder: Recorder | None = None
    occurrences: Occurrences = field(default_factory=queue.SimpleQueue)
    assistant: AssistantWatch | None = None
    voice: AssistantVoice = field(default_factory=AssistantVoice)
    drafting: Drafting = NO_DRAFTS
    _desk: CommandDesk | None = None

    def parts(self) -> Parts:
        """What the agent is made of."""
        return Parts(
            site="attic",
            version="1",
            config_digest="0",
            source_name="scripted",
            source=self.source,
            make_detector=lambda: self.detector,
            threshold=0.5,
            segmenter=SegmenterOptions(),
            classifier=self.classifier,
            top=2,
            min_confidence=self.min_confidence,
            time_limit_s=self.time_limit_s,
            sinks=self.sinks,
            stats_interval_s=self.stats_interval_s,
            hard_mute=self.hard_mute,
            state=self.state,
            desk=self.desk,
            recorder=self.recorder,
            assistant=self.assistant,
            voice=self.voice,
            drafting=self.drafting,
        )

    def agent(self) -> Agent:
        """The agent, not yet started."""
        return Agent(self.parts(), self.occurrences, self.notifier, self.objection)

    @property
    def desk(self) -> CommandDesk:
        """Where the agent takes commands."""
        if self._desk is None:
            self._desk = CommandDesk(lambda request: self.occurrences.put(Requested(request)))
        return self._desk

    def ask(self, command: Command) -> queue.SimpleQueue[Reply]:
        """Hand in a command; the answer comes out of the queue."""
        answers: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self.desk.submit(command, answers.put)
        return answers

    @property
    def record(self) -> RecordingSink:
        """The sink called ``record``."""
        sink = self.sinks["record"]
        assert isinstance(sink, RecordingSink)
        return sink
