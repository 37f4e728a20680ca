"""What the classifier has said of utterances before they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ser_agent.audio import Utterance
    from ser_agent.ports import Answer


class Foreseen:
    """Of each site the answer to the latest utterance that may be over: it holds if nobody has spoken since."""

    def __init__(self) -> None:
        """Begin with none."""
        self._answers: dict[str | None, tuple[float, int, Answer]] = {}

    def keep(self, utterance: Utterance, answer: Answer) -> None:
        """Keep an answer until the site's next utterance, or the next answer."""
        self._answers[utterance.site] = (utterance.captured_at, len(utterance.samples), answer)

    def take(self, utterance: Utterance) -> Answer | None:
        """The answer to just this utterance, from its first sample to its last; None where there is none."""
        began_at, length, answer = self._answers.pop(utterance.site, (0.0, -1, None))
        return answer if (began_at, length) == (utterance.captured_at, len(utterance.samples)) else None
