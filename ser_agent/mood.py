"""Mood: the emotion that prevailed over the last minutes, where an event is but a moment.

Every utterance adds its duration, shared out among its emotions by their confidences, and what was added before
fades exponentially. So long and confident speech counts more than short and doubtful, an hour of silence makes no
mood, and a single shout turns none. Between two utterances the shares stay as they are: everything fades alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ser_agent.messages import EmotionScore

LEAST_SPEECH = 1 / 60
"""Less speech than a second a minute makes no mood."""


@dataclass(frozen=True, slots=True)
class Mood:
    """What prevails.

    Attributes:
        label: the emotion with the largest share.
        share: its share of what was heard, faded, 0 to 1.
    """

    label: str
    share: float


class MoodTracker:
    """Exponentially weighted speech by emotion. All times are seconds of one clock, given by the caller."""

    def __init__(self, time_constant_s: float) -> None:
        """Begin with nothing heard.

        Args:
            time_constant_s: after so long, what was heard counts 1/e (37 %) of what it did.
        """
        self._time_constant_s = time_constant_s
        self._least_s = LEAST_SPEECH * time_constant_s  # what is left of speech that goes on and on at that rate
        self._speech_s: dict[str, float] = {}
        self._since_s = 0.0

    def hear(self, scores: Sequence[EmotionScore], duration_s: float, now_s: float) -> None:
        """Add an utterance.

        Args:
            scores: its emotions and their confidences.
            duration_s: its length, seconds.
            now_s: when it ended; not before the one that came before.
        """
        faded = self._fade(now_s)
        self._speech_s = {label: speech_s * faded for label, speech_s in self._speech_s.items()}
        self._since_s = now_s
        for score in scores:
            self._speech_s[score.label] = self._speech_s.get(score.label, 0.0) + score.score * duration_s

    def mood(self, now_s: float) -> Mood | None:
        """What prevails; None where too little was heard lately."""
        total_s = sum(self._speech_s.values())
        if total_s * self._fade(now_s) < self._least_s:
            return None
        label, most_s = min(self._speech_s.items(), key=lambda item: (-item[1], item[0]))
        return Mood(label, most_s / total_s)

    def remaining_s(self, now_s: float) -> float | None:
        """Seconds until what was heard is too little for a mood; None where it is already."""
        total_s = sum(self._speech_s.values())
        if total_s * self._fade(now_s) < self._least_s:
            return None
        ends_at_s = self._since_s + self._time_constant_s * math.log(total_s / self._least_s)
        return max(0.0, ends_at_s - now_s)

    def _fade(self, now_s: float) -> float:
        return math.exp(-(now_s - self._since_s) / self._time_constant_s)
