"""What classifiers say of speech."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_agent.ports import distribution_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ser_agent.audio import Utterance
    from ser_agent.ports import Distribution, EmotionClassifier


def classified(classifier: EmotionClassifier, utterances: Sequence[Utterance]) -> list[Distribution]:
    """What a classifier makes of utterances that are all speech to it."""
    heard: list[Distribution] = []
    for answer in classifier.classify(utterances):
        distribution = distribution_of(answer)
        assert distribution is not None
        heard.append(distribution)
    return heard
