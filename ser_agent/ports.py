"""The five ports. A class that has a port's operations is a plugin: there is no base class to inherit.

Every plugin class has an attribute ``Options`` (a subclass of ``ser_agent.options.PluginOptions``) and is
constructed as ``Plugin(options, context)``. Its module must import without optional packages: what is heavy is
imported when the part is opened or loaded. ``ser_agent.testing`` holds a conformance suite for each port.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, runtime_checkable

from ser_agent.errors import ClassificationError
from ser_agent.state import StateFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ser_agent.assistant_voice import Speaking
    from ser_agent.audio import Samples, Sound, Utterance
    from ser_agent.commands import CommandDesk
    from ser_agent.messages import AnyMessage

UNCERTAIN_BELOW = 0.4
"""The threshold for ``uncertain`` of models that tell none."""

Distribution: TypeAlias = "Mapping[str, float]"
"""A probability for each label, summing to 1."""


class NonSpeech(Enum):
    """What a classifier may answer instead of a distribution: nobody spoke, it was a door, a dog or music."""

    NON_SPEECH = auto()


NON_SPEECH: Final = NonSpeech.NON_SPEECH


@dataclass(frozen=True, slots=True)
class Unanswered:
    """What a classifier may answer to an utterance that it could not classify, while others of the batch were.

    Attributes:
        reason: why, as a word to count it under.
    """

    reason: str


class Attributed(dict[str, float]):
    """A distribution that says which model it is of, where a classifier has several."""

    def __init__(self, scores: Mapping[str, float], model: str) -> None:
        """Attribute a distribution.

        Args:
            scores: a probability for each label, summing to 1.
            model: name and revision of the model.
        """
        super().__init__(scores)
        self.model = model


Answer: TypeAlias = "Distribution | NonSpeech | Unanswered"
"""What a classifier says of one utterance."""


def answered(answers: Sequence[Answer]) -> Sequence[Answer]:
    """The answers, for who has no use for one that is missing.

    Raises:
        ClassificationError: one is; the message is its reason.
    """
    for answer in answers:
        if isinstance(answer, Unanswered):
            raise ClassificationError(f"an utterance was not classified: {answer.reason}")
    return answers


def distribution_of(answer: Answer) -> Distribution | None:
    """The distribution that an answer is; None where nobody spoke, or there is none."""
    return None if isinstance(answer, NonSpeech | Unanswered) else answer


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What every plugin may know of the agent that it belongs to.

    Attributes:
        site: slug of this agent, unique on its broker.
        base_dir: folder that relative paths of the configuration count from.
        state: facts that outlive the process; each plugin has a section of its own, named after its type.
        desk: where the agent takes commands; None where no agent runs.
        name: of the plugin, unique among those of its port; empty where it is the only one.
    """

    site: str
    base_dir: Path
    state: StateFile = field(default_factory=StateFile)
    desk: CommandDesk | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a classifier says of its model, once loaded.

    Attributes:
        name: name and revision, for example ``embedded@1``.
        labels: every label that a distribution holds.
        licence: SPDX identifier, where known.
        languages: ISO 639-1 codes of the languages trained on, where known.
        uncertain_below: confidence of the best label under which an emotion is ``uncertain``, unless the
            configuration says otherwise.
        audio_sent_to: host and port that the sound goes to; None: it doesn't leave this machine.
    """

    name: str
    labels: tuple[str, ...]
    licence: str | None = None
    languages: tuple[str, ...] = ()
    uncertain_below: float = UNCERTAIN_BELOW
    audio_sent_to: str | None = None

    def threshold(self, configured: float | None) -> float:
        """The threshold for ``uncertain`` in force: the configured one, else the model's own."""
        return self.uncertain_below if configured is None else configured


@runtime_checkable
class AudioSource(Protocol):
    """Where sound comes from."""

    live: bool
    """Whether sound goes on while nobody listens: then a full queue drops its oldest item. Where it is False the
    source waits, and nothing is lost."""

    def open(self) -> None:
        """Start capturing.

        Raises:
            SourceError: the device or file cannot be had; the message names it and the reason.
        """

    def frames(self) -> Iterator[Sound]:
        """Yield frames until the source ends or is closed from another thread (within 1 s).

        A source that hears several sites, or that may have nothing to hear for long, yields a ``Lull`` meanwhile,
        at least every 10 s: it is the stage's sign of life.

        Raises:
            SourceLost: within 3 s of the last frame when the device ceases to deliver; never silence instead.
        """

    def close(self) -> None:
        """Release the device. May be called from any thread, more than once; ``open`` may follow."""


@runtime_checkable
class VoiceActivityDetector(Protocol):
    """What tells speech from other sound."""

    def probability(self, hop: Samples) -> float:
        """Probability that a hop is speech.

        Args:
            hop: int16, shape ``(HOP_SAMPLES,)``, following the hop of the call before.

        Returns:
            A value from 0 to 1. The same hops since ``reset`` give the same answers.
        """

    def reset(self) -> None:
        """Forget all hops heard: what comes next has nothing to do with them."""


@runtime_checkable
class EmotionClassifier(Protocol):
    """What hears emotion in an utterance."""

    def load(self) -> ModelInfo:
        """Load the model and warm it up. Loads nothing from the network unless told to.

        Raises:
            ModelError: the model cannot be had or would silently give wrong answers.
            MissingExtraError: its packages are not installed.
        """

    def classify(self, utterances: Sequence[Utterance]) -> Sequence[Answer]:
        """Give each utterance a distribution over the labels; the answer does not depend on its neighbours.

        A model that can tell other sound from speech may answer ``NON_SPEECH``: the utterance is then dropped and
        counted. Where only some could not be classified, those are ``Unanswered``, and counted by their reason.

        Raises:
            ClassificationError: none of them could be classified.
        """

    def close(self) -> None:
        """Release the model. May be called more than once."""


@runtime_checkable
class EventSink(Protocol):
    """Where messages go. A message of a kind that a sink has no use for is ignored."""

    def open(self) -> None:
        """Start delivering; a connection is made in the background and retried.

        Raises:
            SinkError: this can never work (a file that cannot be written); the message says why.
        """

    def publish(self, message: AnyMessage) -> None:
        """Accept a message and return at once. What is accepted is delivered or counted as lost.

        Raises:
            SinkError: this message was not accepted.
        """

    def flush(self, timeout_s: float) -> None:
        """Deliver what was accepted, as far as it can be done in the time given."""

    def close(self) -> None:
        """Stop delivering and release everything; what is still waiting is counted as lost."""

    def lost(self) -> int:
        """How many accepted messages were lost since ``open``."""


@runtime_checkable
class AssistantWatch(Protocol):
    """What tells when an assistant speaks."""

    def open(self, tell: Callable[[Speaking], None]) -> None:
        """Begin to watch, in the background; whoever is to be watched is waited for.

        Args:
            tell: told, in any thread, when the assistant begins to speak and ceases to; also where that cannot be
                known any more: then it counts as silent.

        Raises:
            SourceError: this can never work; the message says why.
            MissingExtraError: its packages are not installed.
        """

    def close(self) -> None:
        """Cease to watch. May be called more than once."""


Plugin: TypeAlias = AudioSource | VoiceActivityDetector | EmotionClassifier | EventSink | AssistantWatch
