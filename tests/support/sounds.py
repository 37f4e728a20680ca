"""The clips of ``tests/data`` as sound."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ser_agent.audio import SAMPLE_RATE, Utterance
from ser_agent.audio_files import read_utterance

if TYPE_CHECKING:
    from ser_agent.audio import Samples

DATA = Path(__file__).resolve().parents[1] / "data"


@cache
def speech_clips() -> tuple[Samples, ...]:
    """Six clips of acted speech, int16."""
    return tuple(read_utterance(path) for path in sorted(DATA.glob("*.opus")))


def said(samples: Samples) -> Utterance:
    """Sound as an utterance."""
    return Utterance(samples, 0, "silence", captured_at=0.0, closed_at=len(samples) / SAMPLE_RATE)
