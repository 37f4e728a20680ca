"""A third party's distribution with plugins: one of each kind of trouble, and a classifier that needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CHEERFUL = ("--set", "classifier.type=cheerful")
"""Options that choose its classifier: an agent with it is up in half a second."""

ENTRY_POINTS = """
[ser_agent.vads]
deaf = third_party:DeafVad
buggy = third_party:BuggyVad
[ser_agent.classifiers]
cheerful = third_party:CheerfulClassifier
[ser_agent.sinks]
lamp = third_party:LampSink
"""

MODULE = '''
from typing import Literal

from pydantic import Field
from ser_agent.options import ClassifierOptions, VadOptions
from ser_agent.testing import FakeClassifier


class DeafOptions(VadOptions):
    type: Literal["deaf"] = "deaf"
    ears: int = Field(default=0, le=2)


class DeafVad:
    """Hears nothing [at all]."""

    Options = DeafOptions

    def __init__(self, options, context):
        pass

    def probability(self, hop):
        return 0.0

    def reset(self):
        pass


class BuggyOptions(VadOptions):
    type: Literal["buggy"] = "buggy"


class BuggyVad(DeafVad):
    Options = BuggyOptions

    def probability(self, hop):
        return 1 / 0


class CheerfulOptions(ClassifierOptions):
    type: Literal["cheerful"] = "cheerful"


class CheerfulClassifier(FakeClassifier):
    """Takes everybody for happy."""

    Options = CheerfulOptions

    def __init__(self, options, context):
        super().__init__()


def __getattr__(name):
    raise RuntimeError("pip install 'lamp[colours]'")
'''


def install(site: Path) -> None:
    """Write it into a folder, for the ``PYTHONPATH`` of those who are to find it."""
    information = site / "third_party-7.0.dist-info"
    information.mkdir(parents=True)
    (site / "third_party.py").write_text(MODULE, encoding="utf-8")
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 7.0\n")
    (information / "entry_points.txt").write_text(ENTRY_POINTS)
