"""What is heard in one recording: its utterances, the emotion of each and of all, what can't be told, and why."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from ser_agent.app import Workshop
from ser_agent.audio import FULL_SCALE, HOP_SAMPLES, SAMPLE_RATE, AudioFrame, Utterance, level_dbfs
from ser_agent.classifiers.wav2vec2 import EMBEDDED, Wav2Vec2Options
from ser_agent.labels import UNCERTAIN
from ser_agent.messages import top_scores
from ser_agent.ports import answered, distribution_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ser_agent.audio import Samples
    from ser_agent.config import Loaded
    from ser_agent.messages import EmotionScore
    from ser_agent.ports import Answer, EmotionClassifier, ModelInfo

SHORT_S: Final = 1.0
"""Less speech gives a feeling little room."""
QUIET_DBFS: Final = -45.0
NOISY_DB: Final = 10.0
"""With noise so near, the embedded model's recall has fallen noticeably (docs/model/report.md)."""
CLOSE: Final = 0.15
"""Two emotions whose confidences are so close are a choice of the coin."""
CLIPPED: Final = 0.001
"""Share of samples at full scale from which on speech is distorted."""
BACKGROUND_PERCENTILE: Final = 20
BATCH: Final = 8


@dataclass(frozen=True, slots=True)
class Part:
    """One utterance of a recording.

    Attributes:
        start_s: where it begins, seconds.
        end_s: where it ends, seconds.
        emotion: the best label, ``uncertain``, or None where nobody spoke.
        scores: all labels with their confidences, best first; none where nobody spoke.
        reasons: what makes the answer doubtful: keys of the pages' texts.
    """

    start_s: float
    end_s: float
    emotion: str | None
    scores: tuple[EmotionScore, ...]
    reasons: tuple[str, ...]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What was heard in a recording.

    Attributes:
        samples: the recording, int16 mono 16 kHz, shape ``(n,)``.
        parts: its utterances in the order of time.
        emotion: of all its speech together; ``uncertain`` likewise, None where nobody spoke.
        scores: all labels with their confidences, best first: the utterances' mean, weighted by duration.
        reasons: what makes the answer doubtful, or why there is none: keys of the pages' texts.
        model: name and revision of the model.
        threshold: confidence under which an emotion is ``uncertain``.
    """

    samples: Samples
    parts: tuple[Part, ...]
    emotion: str | None
    scores: tuple[EmotionScore, ...]
    reasons: tuple[str, ...]
    model: str
    threshold: float

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds."""
        return len(self.samples) / SAMPLE_RATE


class Ear:
    """Hears recordings, one at a time, with the configured detector and any of the configured models.

    One model is loaded at a time: the one that was asked for last.
    """

    def __init__(self, loaded: Loaded) -> None:
        """Prepare; nothing is loaded yet.

        Args:
            loaded: the configuration.
        """
        self._loaded = loaded
        self._lock = threading.Lock()
        self._name: str | None = None
        self._classifier: EmotionClassifier | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The models to choose from; the configured one is the first."""
        own = self._own_model()
        return tuple(dict.fromkeys((own, EMBEDDED, *self._loaded.config.web.models)))

    def _own_model(self) -> str:
        options = self._loaded.config.classifier
        return options.model if isinstance(options, Wav2Vec2Options) else options.type

    def warm_up(self) -> None:
        """Load the first model, so that nobody has to wait for it later.

        Raises:
            ModelError: it cannot be had.
            MissingExtraError: its packages are not installed.
        """
        with self._lock:
            self._load(self.models[0])

    def close(self) -> None:
        """Release the model."""
        with self._lock:
            if self._classifier is not None:
                self._classifier.close()
            self._name = self._classifier = None

    def hear(self, samples: Samples, model: str) -> Report:
        """Hear a recording.

        Args:
            samples: int16 mono 16 kHz, shape ``(n,)``, n at least 1.
            model: one of ``models``.

        Raises:
            ModelError: the model cannot be had; or its packages are missing, or it failed.
        """
        with self._lock:
            classifier, info = self._load(model)
            threshold = info.threshold(self._loaded.config.classifier.min_confidence)
            utterances = self._find(samples)
            answers: list[Answer] = []
            for start in range(0, len(utterances), BATCH):
                answers += answered(classifier.classify(utterances[start : start + BATCH]))
        background_dbfs = background(samples, utterances)
        parts = tuple(
            judge(utterance, answer, threshold, background_dbfs)
            for utterance, answer in zip(utterances, answers, strict=True)
        )
        return summed_up(samples, parts, info.name, threshold)

    def _load(self, model: str) -> tuple[EmotionClassifier, ModelInfo]:
        if self._classifier is None or self._name != model:
            if self._classifier is not None:
                self._classifier.close()
                self._name = self._classifier = None
            classifier = Workshop(self._configured_for(model)).classifier()
            info = classifier.load()
            self._name, self._classifier = model, classifier
            return classifier, info
        return self._classifier, self._classifier.load()

    def _configured_for(self, model: str) -> Loaded:
        if model == self._own_model():
            return self._loaded
        options = self._loaded.config.classifier
        other = Wav2Vec2Options(model=model, top=options.top, min_confidence=options.min_confidence)
        return replace(self._loaded, config=self._loaded.config.model_copy(update={"classifier": other}))

    def _find(self, samples: Samples) -> list[Utterance]:
        endpointer = Workshop(self._loaded).endpointer()
        frame = AudioFrame(samples, 0, 0.0, starts_stream=True)
        outputs = [*endpointer.feed(frame), *endpointer.finish("end_of_stream")]
        return [output for output in outputs if isinstance(output, Utterance)]


def background(samples: Samples, utterances: Sequence[Utterance]) -> float | None:
    """How loud it is where nobody speaks.

    Args:
        samples: the recording.
        utterances: what is speech of it.

    Returns:
        Its level in dBFS; None where speech fills the recording, so that nobody knows.
    """
    silent = np.ones(len(samples), dtype=bool)
    for utterance in utterances:
        silent[utterance.offset : utterance.offset + len(utterance.samples)] = False
    rest = samples[silent]
    hops = rest[: len(rest) // HOP_SAMPLES * HOP_SAMPLES].reshape(-1, HOP_SAMPLES)
    if len(hops) < SAMPLE_RATE // HOP_SAMPLES // 4:
        return None
    return float(np.percentile([level_dbfs(hop) for hop in hops], BACKGROUND_PERCENTILE))


def judge(utterance: Utterance, answer: Answer, threshold: float, background_dbfs: float | None) -> Part:
    """Say what an utterance sounds like, and what makes that doubtful.

    Args:
        utterance: what was said.
        answer: of the classifier.
        threshold: confidence under which an emotion is ``uncertain``.
        background_dbfs: level where nobody speaks, where known.
    """
    distribution = distribution_of(answer)
    if distribution is None:
        return Part(utterance.start_s, utterance.end_s, None, (), ("reason_non_speech",))
    scores = top_scores(distribution, None)
    emotion = scores[0].label if scores[0].score >= threshold else UNCERTAIN
    reasons = _acoustic_reasons(utterance, background_dbfs)
    if len(scores) > 1 and scores[0].score - scores[1].score < CLOSE:
        reasons.append("reason_close")
    elif emotion == UNCERTAIN and not reasons:
        reasons.append("reason_spread")
    return Part(utterance.start_s, utterance.end_s, emotion, scores, tuple(reasons))


def _acoustic_reasons(utterance: Utterance, background_dbfs: float | None) -> list[str]:
    level = level_dbfs(utterance.samples)
    loudest = np.abs(utterance.samples.astype(np.int32))
    found = {
        "reason_short": utterance.duration_s < SHORT_S,
        "reason_quiet": level < QUIET_DBFS,
        "reason_noisy": background_dbfs is not None and level - background_dbfs < NOISY_DB,
        "reason_clipped": float(np.mean(loudest >= FULL_SCALE - 1)) > CLIPPED,
    }
    return [reason for reason, holds in found.items() if holds]


def summed_up(samples: Samples, parts: tuple[Part, ...], model: str, threshold: float) -> Report:
    """The report of a recording from its utterances."""
    spoken = [part for part in parts if part.scores]
    if not spoken:
        level = level_dbfs(samples)
        heard = "reason_non_speech" if parts else "reason_silent" if level < QUIET_DBFS else "reason_no_speech"
        return Report(samples, parts, None, (), (heard,), model, threshold)
    total_s = sum(part.duration_s for part in spoken)
    mean: Mapping[str, float] = {
        label: sum(_score(part, label) * part.duration_s for part in spoken) / total_s
        for label in sorted({score.label for part in spoken for score in part.scores})
    }
    scores = top_scores(mean, None)
    emotion = scores[0].label if scores[0].score >= threshold else UNCERTAIN
    own = spoken[0].reasons if len(spoken) == 1 else ()
    mixed = ("reason_mixed",) if len({part.emotion for part in spoken}) > 1 else ()
    return Report(samples, parts, emotion, scores, (*own, *mixed), model, threshold)


def _score(part: Part, label: str) -> float:
    return next((score.score for score in part.scores if score.label == label), 0.0)
