"""What can be configured of the classifier that asks workers elsewhere, and what is refused."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ser_agent.classifiers.remote import RemoteOptions
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Options
from ser_agent.cli import main
from ser_agent.config import Loaded, load
from ser_agent.config_text import show
from ser_agent.errors import ConfigError
from ser_agent.fleet_wire import RESERVED_SITES
from ser_agent.ports import PluginContext
from ser_agent.sources.hermes import HermesOptions, HermesSource
from ser_agent.sources.hermes_names import SiteNames

if TYPE_CHECKING:
    from pathlib import Path


def loaded(folder: Path, text: str) -> Loaded:
    path = folder / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def of(folder: Path, text: str) -> RemoteOptions:
    options = loaded(folder, text).config.classifier
    assert isinstance(options, RemoteOptions)
    return options


def test_it_needs_no_more_than_its_type(tmp_path: Path) -> None:
    options = of(tmp_path, "classifier: {type: remote}\n")
    assert (options.host, options.base_topic, options.answer_within_s, options.fallback) == (
        "localhost",
        "ser-agent",
        10.0,
        None,
    )


def test_the_fallback_is_another_classifiers_keys(tmp_path: Path) -> None:
    options = of(tmp_path, "classifier: {type: remote, fallback: {type: wav2vec2, threads: 1}}\n")
    assert isinstance(options.fallback, Wav2Vec2Options)
    assert options.fallback.threads == 1


def test_the_fallback_need_not_say_its_default_type(tmp_path: Path) -> None:
    text = "classifier: {type: remote, fallback: {precision: float32}}\n"
    assert isinstance(of(tmp_path, text).fallback, Wav2Vec2Options)
    assert "precision: float32" in show(loaded(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("classifier: {type: remote, tls: off, host: broker.example}\n", "classifier: tls: what is said would go"),
        ("classifier: {type: remote, answer_within_s: 40}\n", "classifier: time_limit_s (30) has to be longer"),
        ("classifier: {type: remote, protocol: '3.1.1'}\n", "classifier.protocol: expected 'auto' or '5'"),
        ("classifier: {type: remote, base_topic: a/+}\n", "classifier.base_topic: a topic has no + or #"),
        ("classifier: {type: remote, max_wating: 3}\n", "unknown key: did you mean 'max_waiting'?"),
        ("classifier: {type: remote, fallback: 7}\n", "classifier.fallback: expected"),
        ("classifier: {type: remote, fallback: {type: remote}}\n", "a fallback of type 'remote' cannot be had"),
        ("classifier: {type: remote, fallback: {type: none}}\n", "a fallback of type 'none' cannot be had"),
        (
            "classifier:\n  type: remote\n  fallback:\n    thread: 2\n",
            "agent.yaml:4: classifier.fallback.thread: unknown key; known: ",
        ),
        (
            "classifier:\n  type: remote\n  fallback:\n    type: wav2vec2\n    thread: 2\n",
            "agent.yaml:5: classifier.fallback.thread: unknown key: did you mean 'threads'?",
        ),
        (
            "classifier:\n  type: remote\n  fallback: {threads: x}\n",
            "agent.yaml:3: classifier.fallback.threads: expected a whole number, not 'x'",
        ),
        ("site: workers\n", "agent.yaml:1: site: none can be called answers, utterances, workers"),
    ],
)
def test_what_cannot_work_is_refused_with_its_key(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(mistake)):
        loaded(tmp_path, text)


def test_a_broker_on_this_machine_needs_no_encryption(tmp_path: Path) -> None:
    assert of(tmp_path, "classifier: {type: remote, tls: off}\n").tls is not None


def test_no_satellite_gets_a_site_whose_topics_are_the_workers(tmp_path: Path) -> None:
    source = HermesSource(HermesOptions(), PluginContext("home", tmp_path))
    names = source._satellites._names
    assert isinstance(names, SiteNames)
    assert not {names.of(site) for site in RESERVED_SITES} & RESERVED_SITES


def test_a_satellite_without_a_fallback_imports_no_engine() -> None:
    program = (
        "import sys\n"
        "from ser_agent.config import load\n"
        "from ser_agent.app import Workshop\n"
        "workshop = Workshop(load(None, ('classifier={type: remote, port: 9}', 'vad={type: webrtc}')))\n"
        "workshop.classifier().load()\n"
        "workshop.detector()\n"
        "print(sorted({'torch', 'onnxruntime', 'transformers', 'librosa', 'rich'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_check_says_that_sound_leaves_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "agent.yaml").write_text("classifier: {type: remote, host: broker.example}\nsinks: []\n")
    assert main(["check", "--config", str(tmp_path / "agent.yaml")]) == 0
    told = "classifier remote: WARNING: the sound of every utterance is sent to the broker broker.example"
    assert told in capsys.readouterr().out
