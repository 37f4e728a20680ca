from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest
from support.mqtt import PATIENCE_S, free_port, wait_until
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from ser_agent.errors import SourceError
from ser_agent.testing import context
from ser_agent.voices.linux_voice_assistant import LinuxVoiceAssistantVoice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.server import ServerConnection

    from ser_agent.assistant_voice import Speaking

SNAPSHOT = {"muted": False, "volume": 0.8, "ha_connected": True, "last_stt_text": None, "last_tts_text": None}


class PeripheralApi:
    """Linux Voice Assistant's peripheral API: a snapshot at first, then an event whenever something happens."""

    def __init__(self, port: int, state: str | None = None) -> None:
        self._state = state
        self._clients: list[ServerConnection] = []
        self._server = serve(self._attend, "127.0.0.1", port)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def _attend(self, client: ServerConnection) -> None:
        client.send(json.dumps({"event": "snapshot", "data": SNAPSHOT}))
        if self._state is not None:
            client.send(json.dumps({"event": self._state}))
        self._clients.append(client)
        try:
            for _ in client:
                pass
        except ConnectionClosed:
            pass

    def emit(self, event: str, **data: Any) -> None:  # noqa: ANN401 - JSON
        self.say(json.dumps({"event": event, **({"data": data} if data else {})}))

    def say(self, message: str) -> None:
        wait_until(lambda: self._clients, "somebody listens")
        for client in self._clients:
            client.send(message)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()  # first: who is sent away comes back soon
        self._thread.join(PATIENCE_S)
        for client in self._clients:
            client.close()


class Notes:
    """What was told."""

    def __init__(self) -> None:
        self.told: list[Speaking] = []

    @property
    def states(self) -> list[bool]:
        return [speaking.on for speaking in self.told]

    def wait_for(self, *states: bool) -> None:
        wait_until(lambda: self.states == list(states), f"it tells {states}")


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def watch(port: int, notes: Notes) -> Iterator[LinuxVoiceAssistantVoice]:
    options = LinuxVoiceAssistantVoice.Options(uri=f"ws://127.0.0.1:{port}")
    made = LinuxVoiceAssistantVoice(options, context())
    yield made
    made.close()


def test_it_tells_when_the_assistant_speaks_and_ceases_to(
    port: int, watch: LinuxVoiceAssistantVoice, notes: Notes
) -> None:
    with PeripheralApi(port) as assistant:
        watch.open(notes.told.append)
        assistant.emit("listening")
        assistant.emit("stt_text", text="what time is it")
        assistant.emit("thinking")
        assistant.emit("tts_text", text="half past ten")
        assistant.emit("tts_speaking")
        assistant.emit("volume_changed", volume=0.4)
        assistant.say("nonsense")
        assistant.say('["event"]')
        assistant.emit("tts_finished")
        notes.wait_for(False, False, True, False)
        watch.close()


def test_a_check_tells_whether_it_answers(port: int, watch: LinuxVoiceAssistantVoice) -> None:
    with PeripheralApi(port):
        assert watch.probe(PATIENCE_S) == f"Linux Voice Assistant answers at ws://127.0.0.1:{port}"
    with pytest.raises(SourceError, match=f"Linux Voice Assistant at ws://127.0.0.1:{port}: .*refused"):
        watch.probe(PATIENCE_S)


def test_one_that_speaks_already_is_noticed(port: int, watch: LinuxVoiceAssistantVoice, notes: Notes) -> None:
    with PeripheralApi(port, state="tts_speaking"):
        watch.open(notes.told.append)
        notes.wait_for(True)
        watch.close()


def test_an_assistant_that_goes_counts_as_silent_and_is_found_again(
    port: int, watch: LinuxVoiceAssistantVoice, notes: Notes
) -> None:
    watch.open(notes.told.append)
    with PeripheralApi(port) as assistant:
        assistant.emit("tts_speaking")
        wait_until(lambda: notes.states[-1:] == [True], "it speaks")
    wait_until(lambda: notes.states[-1:] == [False], "it has gone")
    with PeripheralApi(port, state="tts_speaking"):
        wait_until(lambda: notes.states[-1:] == [True], "it is back, and speaks")
        watch.close()
