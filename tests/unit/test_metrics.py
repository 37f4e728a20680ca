from __future__ import annotations

import numpy as np
import pytest

from ser_agent.audio import AudioFrame
from ser_agent.metrics import Metrics, resident_mb


def test_the_books_balance_once_settled() -> None:
    metrics = Metrics()
    for _ in range(5):
        metrics.began()
    metrics.published(0.1)
    metrics.failed("classifier")
    metrics.dropped("too_short", 2)
    assert metrics.books().open == 1
    assert metrics.settle("shutdown") == 1
    books = metrics.books()
    assert books.open == 0
    assert books.dropped == {"too_short": 2, "shutdown": 1}
    metrics.dropped("too_short")  # by a stage that did not end in time
    metrics.published(0.1)
    metrics.failed("classifier")
    metrics.began()
    assert metrics.books() == books


def test_latency_quantiles_are_of_recent_events() -> None:
    metrics = Metrics()
    assert metrics.latency_ms(0.5) is None
    for millis in range(1, 101):
        metrics.published(millis / 1000)
    assert metrics.latency_ms(0.5) == 51
    assert metrics.latency_ms(0.95) == 96


def test_the_level_is_that_of_the_last_second() -> None:
    metrics = Metrics()
    assert metrics.level_dbfs() is None
    loud, quiet = np.full(16_000, 32_767, np.int16), np.full(16_000, 328, np.int16)
    metrics.heard(AudioFrame(loud, 0, 0.0))
    assert metrics.level_dbfs() == pytest.approx(0.0, abs=0.1)
    metrics.heard(AudioFrame(quiet, 16_000, 1.0))
    assert metrics.level_dbfs() == pytest.approx(-40.0, abs=0.1)


def test_the_real_time_factor_is_work_over_speech() -> None:
    metrics = Metrics()
    assert metrics.real_time_factor() is None
    metrics.classified(speech_s=4.0, took_s=0.5)
    assert metrics.real_time_factor() == 0.125


def test_this_process_has_a_size_and_uses_time() -> None:
    size_mb = resident_mb()
    assert size_mb is None or 5 < size_mb < 10_000
    assert Metrics().cpu_percent() >= 0
