"""``ser-agent bench``: a table of what is here, and advice that follows from it."""

from __future__ import annotations

from typing import NoReturn

import pytest

from ser_agent.cli import bench_command, main
from ser_agent.cli.bench_command import advice
from ser_agent.cli.engines import Measured, Setting, measure_apart
from ser_agent.errors import UnavailableError


def measured(p50_s: float, p95_s: float | None = None) -> Measured:
    return Measured(1.0, p50_s, p95_s or p50_s, p50_s, 100.0, None)


def setting(engine: str = "onnx", precision: str = "int8", threads: int = 1) -> Setting:
    return Setting("embedded", engine, precision, threads)


def test_the_fastest_is_advised() -> None:
    text = advice({setting(): measured(0.02), setting("torch", "float32"): measured(0.09)})
    assert "engine: onnx, precision: int8, threads: 1" in text
    assert "150 rooms" in text


def test_another_thread_is_advised_only_where_it_is_worth_it() -> None:
    assert "threads: 1" in advice({setting(): measured(0.02), setting(threads=2): measured(0.018)})
    assert "threads: 2" in advice({setting(): measured(0.02), setting(threads=2): measured(0.011)})


def test_a_machine_that_is_slow_is_told_so() -> None:
    assert "late" not in advice({setting(): measured(0.05)})
    assert "noticeably late" in advice({setting(): measured(0.2)})
    assert "too slow" in advice({setting(): measured(4.0)})


def test_a_process_of_its_own_measures_the_light_engine() -> None:
    found = measure_apart(setting(), seconds=0.01)
    assert 0 < found.p50_s <= found.p95_s
    assert found.real_time_factor > 0
    assert found.resident_mb > 20


def test_an_engine_that_cannot_be_had_is_told_with_its_reason() -> None:
    with pytest.raises(UnavailableError, match="there is no folder"):
        measure_apart(Setting("/nowhere/at/all", "onnx", "int8", 1), seconds=0.01)


def test_where_nothing_can_be_measured_the_command_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise UnavailableError("no such luck")

    monkeypatch.setattr(bench_command, "measure_apart", fail)
    assert main(["bench"]) == 69
    told = capsys.readouterr()
    assert "onnx, int8: not measured: no such luck" in told.out
    assert "no engine could be measured" in told.err


def test_a_row_for_each_that_was_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_command, "measure_apart", lambda *_: measured(0.03))
    assert main(["bench"]) == 0
    told = capsys.readouterr().out
    assert "onnx" in told
    assert "float32" in told
    assert "0.0100" in told
    assert "Take `classifier:" in told
