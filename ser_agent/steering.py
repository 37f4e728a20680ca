"""What can be changed from outside while the agent runs, and what of it is remembered."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ser_agent.messages import ListeningState, ThresholdState
from ser_agent.pipeline.controls import Controls

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.messages import AnyMessage
    from ser_agent.parts import Parts
    from ser_agent.ports import ModelInfo

log = logging.getLogger(__name__)

SECTION = "controls"
HARD_MUTE = "hard_mute is set in the configuration, and can only be lifted there"


class Steering:
    """Holds the controls of one agent. In the main thread only.

    A threshold set from outside lasts until the configuration's own one changes: the later word counts.
    """

    def __init__(self, parts: Parts, publish: Callable[[AnyMessage], None]) -> None:
        """Remember what was set in an earlier life.

        Args:
            parts: of the agent.
            publish: tells everybody of a state.
        """
        self._configured = parts.min_confidence
        self._hard_mute = parts.hard_mute
        self._state = parts.state
        self._publish = publish
        facts = self._state.read(SECTION)
        self._wanted = _bool(facts, "listening", default=True)
        self._own_threshold = _score(facts, "threshold") if facts.get("instead_of") == self._configured else None
        self.controls = Controls(listening=self._wanted and not self._hard_mute, min_confidence=0.0)

    def take_model(self, model: ModelInfo) -> None:
        """Find the threshold that holds for a model, and tell it."""
        own = self._own_threshold
        self.controls.min_confidence = model.threshold(self._configured) if own is None else own
        self._publish(ThresholdState(value=self.controls.min_confidence))

    def set_threshold(self, value: float) -> None:
        """Apply a threshold from now on, and remember it."""
        self.controls.min_confidence = self._own_threshold = value
        self._publish(ThresholdState(value=value))
        log.info("threshold set to %g", value)
        self._remember()

    def set_listening(self, apply: Callable[[bool], None], *, on: bool) -> str | None:
        """Have the source opened or closed, and remember it.

        Args:
            apply: does it.
            on: whether sound is wanted.

        Returns:
            Why that cannot be, or None.
        """
        if on and self._hard_mute:
            log.warning("asked to listen, and refused: %s", HARD_MUTE)
            self._publish(ListeningState(on=False))
            return HARD_MUTE
        self._wanted = on
        self._remember()  # first: a power cut must not undo a mute
        if on == self.controls.listening:
            self._publish(ListeningState(on=on))
        else:
            apply(on)
        return None

    def _remember(self) -> None:
        threshold = {"threshold": self._own_threshold, "instead_of": self._configured}
        self._state.write(
            SECTION, {"listening": self._wanted, **(threshold if self._own_threshold is not None else {})}
        )


def _bool(facts: Any, name: str, *, default: bool) -> bool:  # noqa: ANN401 - plain JSON values
    value = facts.get(name, default)
    if isinstance(value, bool):
        return value
    log.warning("state: %s is neither true nor false, so the default holds", name)
    return default


def _score(facts: Any, name: str) -> float | None:  # noqa: ANN401 - plain JSON values
    value = facts.get(name)
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 1.0:
        return float(value)
    log.warning("state: %s is no number from 0 to 1, so the default holds", name)
    return None
