"""The classifier raises, hangs, runs out of memory or answers nonsense: counted, and work goes on while it can."""

from __future__ import annotations

import json
import math
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.agent import AgentProcess
from support.command_line import python
from support.faults import Spoken, balanced, install_plugins, loud_file
from support.mqtt import wait_until
from support.rig import Rig

from ser_agent.agent import Agent, Outcome
from ser_agent.errors import EX_SOFTWARE, ClassificationError, SerAgentError
from ser_agent.pipeline.classify import ClassifyStage
from ser_agent.pipeline.worker import OverTime, Worker
from ser_agent.testing import FakeClassifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path


GOOD = {"happy": 0.75, "sad": 0.25}
PATIENCE_S = 60.0
SOON_S = 0.25
"""A limit of time that an answer is to exceed; what is to be in time gets ``PATIENCE_S``."""


def one_at_a_time(answers: Sequence[Callable[[], Mapping[str, float]]]) -> FakeClassifier:
    """A classifier that gives each utterance the next answer."""
    waiting = iter(answers)
    return FakeClassifier(lambda _: next(waiting)())


def raising(error: BaseException) -> Callable[[], Mapping[str, float]]:
    def answer() -> Mapping[str, float]:
        raise error

    return answer


def rig_of(answers: Sequence[Callable[[], Mapping[str, float]]], **keys: float) -> tuple[Rig, Spoken]:
    source = Spoken(len(answers))
    return Rig(source, one_at_a_time(answers), **keys), source  # type: ignore[arg-type]


def wait_for_each(source: Spoken, settled: Callable[[], int]) -> None:
    """Let each utterance wait until something has become of the one before."""
    source.between = lambda played: wait_until(
        lambda: settled() >= played, "the utterance before is settled", PATIENCE_S
    )


def allow(agent: Agent, limit_s: float) -> None:
    """From now on the classifier may take so long for an utterance."""
    (stage,) = (stage for stage in agent._stages if isinstance(stage, ClassifyStage))
    stage._time_limit_s = limit_s


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        pytest.param(raising(ClassificationError("no")), "classifier", id="says so"),
        pytest.param(raising(ValueError("a bug")), "classifier", id="a bug"),
        pytest.param(raising(MemoryError()), "classifier", id="no memory"),
        pytest.param(lambda: {"happy": math.nan, "sad": 0.5}, "invalid", id="NaN"),
        pytest.param(lambda: {"happy": math.inf}, "invalid", id="infinite"),
    ],
)
def test_what_fails_is_counted_and_the_next_utterance_is_classified(
    fault: Callable[[], Mapping[str, float]], reason: str
) -> None:
    rig, source = rig_of([lambda: GOOD, fault, fault, fault, fault, lambda: GOOD])
    agent = rig.agent()
    wait_for_each(source, lambda: agent.books.begun - agent.books.open)
    assert agent.run() is Outcome.ENDED
    assert agent.books.failed == {reason: 4}
    assert agent.books.published == 2
    assert balanced(agent.books)


def test_an_answer_that_comes_too_late_counts_as_failed_and_is_not_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    late = threading.Event()

    def answer_late() -> Mapping[str, float]:
        late.wait(PATIENCE_S)
        return GOOD

    rig, source = rig_of([answer_late, lambda: GOOD], time_limit_s=SOON_S)
    agent = rig.agent()

    def settled() -> int:
        books = agent.books
        if books.failed:
            late.set()
            allow(agent, PATIENCE_S)
        return books.begun - books.open

    wait_for_each(source, settled)
    assert agent.run() is Outcome.ENDED
    assert agent.books.failed == {"time_limit": 1}
    assert agent.books.published == 1
    assert len(rig.record.events) == 1
    assert f"1 utterances not classified: no answer within {SOON_S} s" in caplog.text


def test_one_answer_in_time_shows_that_a_slow_classifier_does_not_hang() -> None:
    late = [threading.Event() for _ in range(3)]

    def answer_late(released: threading.Event) -> Mapping[str, float]:
        released.wait(PATIENCE_S)
        return GOOD

    answers = [answer for event in late for answer in (partial(answer_late, event), lambda: GOOD)]
    rig, source = rig_of(answers, time_limit_s=SOON_S)
    agent = rig.agent()

    def settled() -> int:
        books = agent.books
        failed = books.failed.get("time_limit", 0)
        for event in late[:failed]:
            event.set()
        allow(agent, PATIENCE_S if failed > books.published else SOON_S)
        return books.begun - books.open

    wait_for_each(source, settled)
    assert agent.run() is Outcome.ENDED
    assert agent.books.failed == {"time_limit": 3}
    assert agent.books.published == 3


def test_three_times_in_a_row_without_an_answer_end_the_agent_as_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def hang() -> Mapping[str, float]:
        released.wait(PATIENCE_S)
        return GOOD

    rig, source = rig_of([hang] * 5, time_limit_s=0.2)
    agent = rig.agent()
    wait_for_each(source, lambda: agent.books.begun - agent.books.open)
    try:
        with pytest.raises(SerAgentError, match="the classifier hangs: 3 times in a row") as caught:
            agent.run()
    finally:
        released.set()
    assert caught.value.exit_code == EX_SOFTWARE
    assert agent.books.failed["time_limit"] >= 3
    assert balanced(agent.books)


@pytest.mark.timeout(300)
def test_a_classifier_that_hangs_for_ever_does_not_keep_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugins(tmp_path / "site", monkeypatch)
    config = {
        "source": {
            "type": "files",
            "paths": [str(loud_file(tmp_path, utterances=3))],
            "realtime": True,
            "loop": True,
        },
        "vad": {"type": "energy"},
        "classifier": {"type": "odd", "does": "hang", "time_limit_s": 0.3},
        "sinks": [],
    }
    with AgentProcess(tmp_path, config) as agent:
        assert agent.wait(patience_s=240) == EX_SOFTWARE
        assert "the classifier hangs: 3 times in a row no answer within its time limit" in agent.log
        assert "Traceback" not in agent.log


HUNGRY = """
import json, logging, resource, sys
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[1])
from support.rig import PAUSE, SPEECH, Rig, speech
from ser_agent.testing import FakeClassifier, ScriptedSource

logging.disable(logging.CRITICAL)
wanted = iter([0, 4 << 30, 4 << 30, 0, 4 << 30, 0])

def answer(utterance):
    bytearray(next(wanted))
    return {"happy": 0.75, "sad": 0.25}

agent = Rig(ScriptedSource(speech(*[SPEECH, PAUSE] * 6)), FakeClassifier(answer)).agent()
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 30), resource.RLIM_INFINITY))
outcome = agent.run()
books = agent.books
told = {"outcome": outcome.name, "published": books.published, "failed": books.failed, "open": books.open}
print(json.dumps(told))
"""


def test_where_the_system_gives_no_more_memory_the_utterance_is_counted_and_work_goes_on() -> None:
    done = python(HUNGRY, json.dumps(sys.path))
    assert done.code == 0, done.err
    (told,) = done.records
    assert (told["outcome"], told["open"]) == ("ENDED", 0)
    # Utterances that wait together are classified together, and fail together where one of them is too much.
    assert told["failed"]["classifier"] >= 3
    assert told["published"] + told["failed"]["classifier"] == 6


def test_a_worker_gives_back_what_a_call_returns_or_raises_and_beats_meanwhile() -> None:
    worker: Worker[int] = Worker("test")
    beats: list[int] = []
    go_on = threading.Event()

    def beat() -> None:
        beats.append(1)
        if len(beats) == 3:
            go_on.set()

    def slow() -> int:
        go_on.wait(PATIENCE_S)
        return 7

    def divide() -> int:
        return 1 // 0

    assert worker.run(slow, PATIENCE_S, beat, every_s=0.001) == 7
    assert len(beats) >= 3
    with pytest.raises(ZeroDivisionError):
        worker.run(divide, PATIENCE_S, beat, every_s=0.001)
    worker.close()
    wait_until(lambda: not worker._thread.is_alive(), "its thread ends")


def test_a_worker_whose_call_hangs_begins_no_other_until_it_has_returned() -> None:
    worker: Worker[int] = Worker("test")
    go_on = threading.Event()
    made: list[str] = []

    def hang() -> int:
        go_on.wait(PATIENCE_S)
        made.append("first")
        return 1

    def second() -> int:
        made.append("second")
        return 2

    for call in (hang, second):
        with pytest.raises(OverTime):
            worker.run(call, 0.05, lambda: None, every_s=0.01)
    assert made == []
    go_on.set()
    assert worker.run(second, PATIENCE_S, lambda: None, every_s=0.01) == 2
    assert made == ["first", "second"]
    worker.close()
