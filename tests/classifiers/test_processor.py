"""What the processor can do: weights as large as its sums can bear, and threads that leave room for others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ser_agent.classifiers.processor import default_threads, largest_weight


@pytest.mark.parametrize(
    ("machine", "flags", "largest"),
    [
        ("x86_64", "fpu avx2 avx512_vnni", 127),
        ("x86_64", "fpu avx2 avx_vnni", 127),
        ("x86_64", "fpu avx2", 63),
        ("aarch64", "fp asimd asimddp", 127),
    ],
)
def test_weights_are_as_large_as_sums_can_bear(tmp_path: Path, machine: str, flags: str, largest: int) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    assert largest_weight(machine, tmp_path / "cpuinfo") == largest


def test_of_an_unknown_processor_the_least_is_expected(tmp_path: Path) -> None:
    assert largest_weight("x86_64", tmp_path / "nothing") == 63


def test_two_of_the_smaller_ones_never_overflow() -> None:
    assert 2 * 255 * largest_weight("x86_64", cpuinfo=Path("/nowhere")) < 2**15


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 2), (64, 2)])
def test_half_of_the_cores_are_taken_and_at_most_two(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)))
    assert default_threads() == threads
