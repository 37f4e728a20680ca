"""Examples to click: sentences of the bundled conversation, and the whole of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Final

import numpy as np

from ser_agent.audio import SAMPLE_RATE
from ser_agent.audio_files import stream_file

if TYPE_CHECKING:
    from ser_agent.audio import Samples

CHOSEN: Final = ("1071_IWW_SAD_XX", "1011_ITH_HAP_XX", "1091_IEO_ANG_LO", "1036_IOM_FEA_XX")
"""One each of four feelings, by their names in ``conversation.json``."""
MARGIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Example:
    """Something to click.

    Attributes:
        emotion: which one the speaker was asked for; None for the whole conversation.
        start_s: where it begins in the conversation, seconds.
        end_s: where it ends, seconds; None for the conversation's end.
    """

    emotion: str | None
    start_s: float = 0.0
    end_s: float | None = None

    def samples(self) -> Samples:
        """Its sound: int16 mono 16 kHz, shape ``(n,)``."""
        end = None if self.end_s is None else round(self.end_s * SAMPLE_RATE)
        return _conversation()[round(self.start_s * SAMPLE_RATE) : end]


def examples() -> tuple[Example, ...]:
    """All of them."""
    text = files("ser_agent").joinpath("samples/conversation.json").read_text(encoding="utf-8")
    spoken = {each["clip"]: each for each in json.loads(text)["utterances"]}
    single = (
        Example(spoken[clip]["emotion"], spoken[clip]["start_s"] - MARGIN_S, spoken[clip]["end_s"] + MARGIN_S)
        for clip in CHOSEN
    )
    return (*single, Example(None))


@cache
def _conversation() -> Samples:
    with as_file(files("ser_agent").joinpath("samples/conversation.ogg")) as path:
        return np.concatenate(list(stream_file(path)))
