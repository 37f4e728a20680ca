"""What the README claims."""

from __future__ import annotations

from benchmarks.readme import README, with_figures


def test_its_figures_are_the_recorded_ones() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_figures(text) == text, "run `python -m benchmarks.readme`"
