"""The light agent: without torch, transformers and librosa, everything that a home needs works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[1] / "data"
CLIP = DATA / "1061_IEO_ANG_LO.opus"
ABSENT = ("torch", "transformers", "librosa", "huggingface_hub", "safetensors", "scipy", "sklearn", "onnx")
PROGRAM = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from ser_agent.cli import main

sys.exit(main(sys.argv[1:]))
"""


def light(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``ser-agent`` where the extras are not installed."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_files_are_classified(tmp_path: Path) -> None:
    done = light("classify", "--jsonl", str(CLIP), folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["emotion"]


def test_the_agent_runs_from_sound_to_events(tmp_path: Path) -> None:
    sinks = "sinks=[{type: jsonlines}]"
    done = light("run", "--source", str(CLIP), "--set", sinks, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert any(event.get("model", "").startswith("embedded@") for event in events)


def test_each_part_can_be_checked(tmp_path: Path) -> None:
    where = ["--set", f"source={{type: files, paths: ['{CLIP}']}}", "--set", "sinks=[{type: jsonlines}]"]
    done = light("check", "--live", *where, folder=tmp_path)
    assert "classifier wav2vec2: OK: embedded@" in done.stdout, done.stderr


@pytest.mark.parametrize("wanted", ["classifier.engine=torch", "classifier.model=somebody/something"])
def test_what_needs_an_extra_names_it(tmp_path: Path, wanted: str) -> None:
    done = light("classify", str(CLIP), "--set", wanted, folder=tmp_path)
    assert done.returncode == 69
    assert "pip install 'ser-agent[torch]'" in done.stderr


def test_exporting_needs_the_extra_and_says_so(tmp_path: Path) -> None:
    done = light("export", "embedded", "exported", folder=tmp_path)
    assert done.returncode == 69
    assert "pip install 'ser-agent[torch]'" in done.stderr
