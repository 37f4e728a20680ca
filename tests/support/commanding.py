"""An agent that is given commands over a broker."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from support.life import Life, Radio
from support.mqtt import Listener, make_sink, wait_until
from support.rig import PAUSE, Rig, speech

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


PLACE = "ser-agent/test"
HEALTH = f"{PLACE}/request/health_check"


@contextmanager
def life(port: int, folder: Path, source: Radio | None = None, **keys: Any) -> Iterator[Life]:  # noqa: ANN401
    """An agent called ``test`` that hears a radio; ``keys`` of the rig, or, as ``mqtt``, of the sink."""
    mqtt = {"discovery": {"enabled": True}, **keys.pop("mqtt", {})}
    rig = Rig(source or Radio(speech(PAUSE)), **keys)
    rig.sinks = {**rig.sinks, "mqtt": make_sink(port, folder, desk=rig.desk, state=rig.state, **mqtt)}
    with Life(rig) as living:
        yield living


def wait_until_up(listener: Listener) -> None:
    """Return once the agent has told how it is set."""
    wait_until(lambda: listener.last("test/availability") == "online", "it is up")
    wait_until(lambda: listener.last("test/threshold/state"), "it tells its threshold")
    wait_until(lambda: listener.last("test/listen/state"), "it tells whether it listens")


def ask(listener: Listener, command: str, payload: str | bytes = b"") -> dict[str, Any]:
    """The next response to a command."""
    before = len(listener.on(f"response/{command}"))
    listener.say(f"{PLACE}/request/{command}", payload)
    wait_until(lambda: len(listener.on(f"response/{command}")) > before, f"{command} is answered")
    response = listener.on(f"response/{command}")[before]
    assert (response.qos, response.retain) == (1, False)
    return dict(response.fields)
