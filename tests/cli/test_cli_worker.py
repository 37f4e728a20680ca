"""What ``ser-agent worker`` refuses, and how it is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ser_agent.cli.worker_command import default_name

if TYPE_CHECKING:
    from pathlib import Path

    from support.command_line import Command


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"classifier": {"type": "remote"}}, "classifier: a worker is what `remote` asks"),
        ({"sinks": [{"type": "jsonlines"}]}, "sinks: a worker takes its broker from the first sink of type mqtt"),
        ({"sinks": [{"type": "mqtt", "host": "broker.example", "tls": "off"}]}, "tls: off towards broker.example"),
        ({"sinks": [{"type": "mqtt", "protocol": "3.1.1"}]}, "a worker needs MQTT 5"),
    ],
)
def test_a_configuration_that_no_worker_can_have_is_refused(
    changes: dict[str, Any], complaint: str, tmp_path: Path, ser_agent: Command
) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(json.dumps({"sinks": [{"type": "mqtt"}]} | changes), encoding="utf-8")
    outcome = ser_agent("worker", "-c", file)
    assert outcome.code == 78
    assert complaint in outcome.err
    assert str(file) in outcome.err


def test_a_model_that_cannot_be_had_ends_with_69(tmp_path: Path, ser_agent: Command) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("classifier: {model: ./nothing, engine: onnx}\n", encoding="utf-8")
    outcome = ser_agent("worker", "-c", file)
    assert outcome.code == 69
    assert "nothing" in outcome.err


@pytest.mark.parametrize(
    "words", [("--name", "a/b"), ("--group", ""), ("--batch", "0"), ("--batch", "many"), ("--name", "-x")]
)
def test_names_that_are_no_topic_and_batches_that_are_no_number_are_refused(
    words: tuple[str, str], ser_agent: Command
) -> None:
    outcome = ser_agent("worker", *words)
    assert outcome.code == 2
    assert "expected" in outcome.err


@pytest.mark.parametrize(
    ("host", "beginning"),
    [("den", "den-"), ("küche.local", "k-che.local-"), ("", "worker-"), ("x" * 300, "x" * 48)],
)
def test_a_worker_is_named_after_its_host(host: str, beginning: str) -> None:
    names = {default_name(host) for _ in range(20)}
    assert len(names) > 15
    assert all(name.startswith(beginning) and len(name) <= 64 for name in names)
