"""A plugin that raises as it is imported: named with its reason where it is asked for, passed over elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.agent import ser_agent
from support.faults import install_plugins, loud_file

from ser_agent.errors import EX_CONFIG

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)


def configured(folder: Path, **sections: object) -> str:
    file = folder / "agent.yaml"
    source = {"type": "files", "paths": [str(loud_file(folder))]}
    config = {"source": source, "vad": {"type": "energy"}, "classifier": {"type": "odd"}, "sinks": [], **sections}
    file.write_text(json.dumps(config))
    return str(file)


@pytest.fixture(autouse=True)
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_plugins(tmp_path / "site", monkeypatch)


def test_where_it_is_asked_for_the_configuration_is_refused_with_its_reason(tmp_path: Path) -> None:
    done = ser_agent("run", "--config", configured(tmp_path, sinks=[{"type": "broken"}]), timeout_s=240)
    assert done.returncode == EX_CONFIG
    reason = "the plugin 'broken' (odd-plugins 1.0) cannot be loaded: RuntimeError: its wire is cut"
    assert f"agent.yaml:1: sinks.0: {reason}" in done.stderr
    assert "Traceback" not in done.stderr


def test_where_it_is_not_asked_for_it_is_told_and_the_agent_runs(tmp_path: Path) -> None:
    done = ser_agent("run", "--config", configured(tmp_path), "--quiet", timeout_s=240)
    assert done.returncode == 0
    assert "plugin broken of port sinks (odd-plugins 1.0) cannot be loaded: RuntimeError" in done.stderr
    assert "1 utterances: 1 published, 0 failed, 0 dropped" in done.stderr
