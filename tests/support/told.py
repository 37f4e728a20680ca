"""A proxy around made-up parts, and what it has told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from support.rig import PAUSE, SPEECH, Rig
from support.wyoming import (
    RunningProxy,
    SttServer,
)

from ser_agent.assistants.conversation import Conversation

if TYPE_CHECKING:
    from wyoming.asr import Transcript

    from ser_agent.audio import Samples
    from ser_agent.messages import AnyMessage

COMMAND: Samples = np.concatenate([PAUSE[:8000], SPEECH, PAUSE])
TOLD = {
    "emotion": "happy",
    "confidence": 0.7,
    "emotions": [{"label": "happy", "score": 0.7}, {"label": "neutral", "score": 0.2}],
}


def proxy(server: SttServer, rig: Rig | None = None, **keys: Any) -> RunningProxy:  # noqa: ANN401 - of many kinds
    rig = rig or Rig()
    return RunningProxy(Conversation(rig.parts(), rig.occurrences), server.port, **keys)


def told(rig: Rig, kind: type[AnyMessage]) -> list[AnyMessage]:
    return [message for message in rig.record.messages if isinstance(message, kind)]


def emotion_of(transcript: Transcript | None) -> dict[str, Any] | None:
    assert transcript is not None
    return (transcript.context or {}).get("emotion")
