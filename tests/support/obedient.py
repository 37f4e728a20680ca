"""A classifier that does what the sound tells it to, as a distribution that a worker finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

ANSWER: Final = 1
"""An order: be sure of ``number / SURE`` that it is happy."""
DIE: Final = 2
"""An order: end the process as a crash would."""
NOBODY: Final = 3
"""An order: say that nobody spoke."""
SLEEP: Final = 4
"""An order: as ``ANSWER``, but take ``number`` milliseconds for it."""
WAIT: Final = 5
"""An order: as ``ANSWER``, but only once there is a file ``GO`` beside the classifier."""
GO: Final = "go"
SURE: Final = 10_000

MODULE: Final = f"""
import os
import time
from pathlib import Path
from typing import Literal

from ser_agent.fleet import bench
from ser_agent.options import ClassifierOptions
from ser_agent.ports import NON_SPEECH, ModelInfo

bench.BEGINNING_S = 60.0  # however busy the machine, it is said with what it begins before it dies of that


class ObedientOptions(ClassifierOptions):
    type: Literal["obedient"] = "obedient"
    delay_s: float = 0.0


class ObedientClassifier:
    Options = ObedientOptions

    def __init__(self, options, context):
        self._delay_s = options.delay_s

    def load(self):
        return ModelInfo("obedient@1", ("happy", "neutral"))

    def classify(self, utterances):
        time.sleep(self._delay_s)
        return [self._obey(int(sound.samples[0]), int(sound.samples[1])) for sound in utterances]

    def _obey(self, order, number):
        if order == {DIE}:
            os._exit(9)
        if order == {NOBODY}:
            return NON_SPEECH
        if order == {SLEEP}:
            time.sleep(number / 1000)
        while order == {WAIT} and not Path(__file__).with_name("{GO}").exists():
            time.sleep(0.01)
        return {{"happy": number / {SURE}, "neutral": 1 - number / {SURE}}}

    def close(self):
        pass
"""


def install(site: Path) -> None:
    """Write the obedient classifier into a folder, for the ``PYTHONPATH`` of workers."""
    information = site / "obedient-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "obedient.py").write_text(MODULE, encoding="utf-8")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: obedient\nVersion: 1.0\n")
    points = "[ser_agent.classifiers]\nobedient = obedient:ObedientClassifier\n"
    (information / "entry_points.txt").write_text(points)
