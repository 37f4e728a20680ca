"""``ser-agent bench``: how fast each engine hears on this machine, what it costs, and which to take."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rich.table import Table

from ser_agent.classifiers.processor import default_threads
from ser_agent.classifiers.wav2vec2 import EMBEDDED, Wav2Vec2Options
from ser_agent.cli.engines import SPEECH_S, Measured, Setting, measure_apart
from ser_agent.cli.settings import load_settings
from ser_agent.cli.tables import print_table
from ser_agent.errors import EX_OK, ConfigError, UnavailableError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from ser_agent.config import Loaded

WORTH = 0.75
"""Another thread is worth it where it takes the time down to this part."""
LATENCY_S = 0.1
"""An event that comes so soon after an utterance is felt as coming at once."""


def execute(args: argparse.Namespace) -> int:
    """Measure, print a table, and advise.

    Raises:
        UnavailableError: nothing could be measured.
    """
    found: dict[Setting, Measured] = {}
    for setting in _settings(load_settings(args)):
        try:
            found[setting] = measure_apart(setting, args.seconds)
        except UnavailableError as error:
            print(f"{setting.engine}, {setting.precision}: not measured: {error}")
    if not found:
        raise UnavailableError("no engine could be measured")
    print_table(_table(found))
    print(advice(found))
    return EX_OK


def advice(found: Mapping[Setting, Measured]) -> str:
    """Say in words which setting to take and what it can do.

    Args:
        found: at least one.
    """
    best = min(found, key=lambda setting: found[setting].p50_s)
    single = replace(best, threads=1)
    if single in found and found[best].p50_s > WORTH * found[single].p50_s:
        best = single
    measured = found[best]
    rooms = max(0, int(1 / measured.real_time_factor))
    cores = len(os.sched_getaffinity(0))
    words = [
        f"Take `classifier: {{engine: {best.engine}, precision: {best.precision}, threads: {best.threads}}}`:",
        f"{SPEECH_S:g} s of speech are heard in {1000 * measured.p50_s:.0f} ms,",
        f"so with {best.threads} of {cores} cores {rooms} rooms could speak without pause.",
    ]
    if measured.p95_s > LATENCY_S:
        words.append("An event comes noticeably late here: shorten `segmenter.max_utterance_s`.")
    if rooms < 1:
        words.append("This machine is too slow for speech without pause: utterances will be dropped.")
    return " ".join(words)


def _settings(loaded: Loaded) -> list[Setting]:
    """What can be measured here: each engine that is installed, with one thread and with what would be taken."""
    options = loaded.config.classifier
    if not isinstance(options, Wav2Vec2Options):
        raise ConfigError(f"only the classifier `wav2vec2` has engines, not `{options.type}`")
    folder = loaded.base_dir / options.model
    model = str(folder.resolve()) if options.model != EMBEDDED and folder.is_dir() else options.model
    counts = sorted({1, options.threads or default_threads(), len(os.sched_getaffinity(0))})
    engines = [("onnx", "int8"), ("onnx", "float32")]
    if find_spec("torch") and find_spec("transformers"):
        engines.append(("torch", "float32"))
    return [Setting(model, *engine, threads) for engine in engines for threads in counts]


def _table(found: Mapping[Setting, Measured]) -> Table:
    table = Table(title=f"an utterance of {SPEECH_S:g} s")
    headings = (
        "engine",
        "precision",
        "threads",
        "real-time factor",
        "p50 ms",
        "p95 ms",
        "CPU ms",
        "MiB",
        "load s",
        "J",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading in {"engine", "precision"} else "right")
    for setting, measured in found.items():
        table.add_row(
            setting.engine,
            setting.precision,
            str(setting.threads),
            f"{measured.real_time_factor:.4f}",
            f"{1000 * measured.p50_s:.1f}",
            f"{1000 * measured.p95_s:.1f}",
            f"{1000 * measured.cpu_s:.1f}",
            f"{measured.resident_mb:.0f}",
            f"{measured.load_s:.2f}",
            "–" if measured.joules is None else f"{measured.joules:.2f}",
        )
    return table
