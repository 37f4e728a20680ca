"""The one-liners of examples/README.md, as they stand there, with a real broker, mosquitto_sub and jq."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.events import an_event
from support.examples import EXAMPLES, SITE, TOPICS
from support.mqtt import wait_until

if TYPE_CHECKING:
    from support.mqtt import Listener, Mosquitto

pytestmark = pytest.mark.broker


def one_liners() -> list[str]:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", "").splitlines()]
    return [line for line in lines if line.startswith("mosquitto_sub")]


@pytest.mark.parametrize(
    ("number", "emotion", "printed"),
    [
        (0, "sad", "08:30:12\tliving-room\tsad\t87 %"),
        (1, "happy", None),
        (1, "angry", "living-room sounds angry"),
    ],
)
def test_it_prints_what_it_should(  # noqa: PLR0913 - fixtures
    bash: str, broker: Mosquitto, listener: Listener, *, number: int, emotion: str, printed: str | None
) -> None:
    line = one_liners()[number]
    assert line.count("-h localhost") == 1
    line = line.replace("-h localhost", f"-h 127.0.0.1 -p {broker.port} -C 1")
    process = subprocess.Popen([bash, "-c", f"set -o pipefail; {line}"], stdout=subprocess.PIPE, text=True)
    event = TOPICS.event(an_event(emotion=emotion, site=SITE))

    def is_done() -> bool:
        listener.say(event.topic, event.payload.decode())  # again and again, since it tells nobody when it listens
        return process.poll() is not None

    wait_until(is_done, "the one-liner ends after one event")
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.read().splitlines() == ([] if printed is None else [printed])
    assert process.returncode == 0
