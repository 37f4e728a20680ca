"""Fixtures that all tests share: the corpora, a broker, and tiny checkpoints."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from support.mqtt import Listener, Mosquitto

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.checkpoints import CheckpointBuilder

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
REAL_TIME = {
    "archives",
    "assistants",
    "broker",
    "classifiers",
    "cli",
    "daemon",
    "examples",
    "faults",
    "fleet",
    "ovos",
    "pipeline",
    "privacy",
    "soak",
    "sources",
    "voices",
    "web",
}
"""Folders whose tests wait for other programs in real time. One that fails on a busy machine is run once more, and
the closing line says so (``1 rerun``)."""

# How long an example takes says how busy the machine is, and nothing of what holds for it.
settings.register_profile("whenever", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("whenever")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let ``--long`` through."""
    parser.addoption("--long", action="store_true", help="run the tests that take minutes, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes unless it is asked for; give tests in real time a second try."""
    for item in items:
        if "long" in item.keywords and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: only with --long"))
        if REAL_TIME.intersection(item.path.relative_to(ROOT).parts):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of speech, noise and rooms; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared" / "corpora"
    if not (folder / "manifest.csv").exists():
        pytest.skip("the corpora (../shared/corpora) are not here")
    return folder


@pytest.fixture(scope="session")
def mosquitto() -> str:
    """The broker's program; tests that need it skip where it is absent."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    return program


@pytest.fixture
def broker(mosquitto: str, tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that runs, without passwords or encryption."""
    with Mosquitto(mosquitto, tmp_path) as running:
        yield running


@pytest.fixture
def listener(broker: Mosquitto) -> Iterator[Listener]:
    """A client that hears everything on that broker."""
    with Listener(broker.port) as connected:
        yield connected


@pytest.fixture
def build(tmp_path: Path) -> CheckpointBuilder:
    """Makes tiny checkpoints; the test skips where torch or transformers is not installed."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from support.checkpoints import CheckpointBuilder  # noqa: PLC0415 - needs torch

    return CheckpointBuilder(tmp_path)
