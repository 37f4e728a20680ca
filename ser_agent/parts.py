"""What an agent is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ser_agent.assistant_voice import AssistantVoice
from ser_agent.endpointing import Endpointer
from ser_agent.segmenter import NO_DRAFTS, Drafting, Segmenter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ser_agent.commands import CommandDesk
    from ser_agent.ports import AssistantWatch, AudioSource, EmotionClassifier, EventSink, VoiceActivityDetector
    from ser_agent.recording import Recorder
    from ser_agent.segmenter import SegmenterOptions
    from ser_agent.state import StateFile


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that an agent is made of, ready to be started.

    Attributes:
        site: slug of the agent.
        version: version of ser_agent.
        config_digest: SHA-256 of the configuration without its secrets.
        source_name: kind of the source.
        source: where sound comes from.
        make_detector: makes what tells speech from other sound, one for each site.
        threshold: probability from which on the detector's hop is speech.
        segmenter: durations of the endpointing.
        classifier: hears the emotion.
        top: how many labels an event tells.
        min_confidence: the threshold under which the emotion is ``uncertain``; None: the model's own.
        time_limit_s: seconds that the classifier may take for one utterance.
        sinks: where messages go, by unique name.
        stats_interval_s: seconds between two ``AgentStats``.
        hard_mute: whether the source stays closed, whatever is asked for.
        state: what outlives the process.
        desk: where commands come from.
        assistant: tells when an assistant speaks; None where there is none.
        voice: remembers that.
        recorder: keeps what is said as files; None where nothing is recorded.
        drafting: when the classifier hears an utterance before its end, of a source that plays in real time.
    """

    site: str
    version: str
    config_digest: str
    source_name: str
    source: AudioSource
    make_detector: Callable[[], VoiceActivityDetector]
    threshold: float
    segmenter: SegmenterOptions
    classifier: EmotionClassifier
    top: int
    min_confidence: float | None
    time_limit_s: float
    sinks: Mapping[str, EventSink]
    stats_interval_s: float
    hard_mute: bool
    state: StateFile
    desk: CommandDesk
    assistant: AssistantWatch | None = None
    voice: AssistantVoice = field(default_factory=AssistantVoice)
    recorder: Recorder | None = None
    drafting: Drafting = NO_DRAFTS

    def make_endpointer(self) -> Endpointer:
        """Make what cuts one site's sound into utterances."""
        in_real_time = self.source.live or getattr(self.source, "in_real_time", False)
        drafting = self.drafting if in_real_time else NO_DRAFTS
        return Endpointer(self.make_detector(), Segmenter(self.segmenter, self.threshold, drafting))
