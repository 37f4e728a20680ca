"""What tests of faults share: books that balance, plugins with odd ways, sound to speak up for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soundfile
from support.rig import PAUSE, SPEECH, speech

from ser_agent.audio import SAMPLE_RATE
from ser_agent.testing import ScriptedSource, tone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pytest

    from ser_agent.audio import AudioFrame
    from ser_agent.metrics import Books

ENTRY_POINTS = """
[ser_agent.classifiers]
odd = odd_plugins:OddClassifier
[ser_agent.sinks]
broken = broken_at_import:Sink
"""

MODULE = """
import time
from typing import Literal

from ser_agent.options import ClassifierOptions
from ser_agent.testing import FakeClassifier


class OddOptions(ClassifierOptions):
    type: Literal["odd"] = "odd"
    does: Literal["answer", "hang", "raise"] = "answer"


class OddClassifier(FakeClassifier):
    Options = OddOptions

    def __init__(self, options, context):
        super().__init__()
        self._does = options.does

    def classify(self, utterances):
        if self._does == "hang":
            while True:
                time.sleep(3600)
        if self._does == "raise":
            raise ValueError("odd")
        return super().classify(utterances)
"""

BROKEN = 'raise RuntimeError("its wire is cut")\n'


class Spoken(ScriptedSource):
    """A source that plays one utterance after the other, each once the one before is settled.

    Set ``between``: called with the number of utterances played so far, it returns once the next may come.
    """

    def __init__(self, utterances: int) -> None:
        super().__init__(speech(*[SPEECH, PAUSE] * utterances))
        self.between: Callable[[int], None] = lambda _: None
        self._played = 0

    def frames(self) -> Iterator[AudioFrame]:
        for frame in super().frames():
            yield frame
            if frame.offset // len(SPEECH) // 2 > self._played:
                self._played += 1
                self.between(self._played)


def balanced(books: Books) -> bool:
    """Whether every utterance that began has ended in one way."""
    ended = books.published + sum(books.failed.values()) + sum(books.dropped.values())
    return books.open == 0 and books.begun == ended


def install_plugins(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a distribution with odd plugins into a folder, for the processes that a test starts."""
    information = site / "odd_plugins-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "odd_plugins.py").write_text(MODULE, encoding="utf-8")
    (site / "broken_at_import.py").write_text(BROKEN, encoding="utf-8")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-plugins\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.setenv("PYTHONPATH", str(site))


def loud_file(folder: Path, utterances: int = 1) -> Path:
    """A sound file in which so many seconds of tone, with a pause behind each, pass for utterances."""
    pause = np.zeros(round(1.2 * SAMPLE_RATE), dtype=np.int16)
    path = folder / "loud.wav"
    soundfile.write(
        path, np.concatenate([pause[: SAMPLE_RATE // 4], *[tone(0.6), pause] * utterances]), SAMPLE_RATE
    )
    return path
