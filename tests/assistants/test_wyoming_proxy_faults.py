"""The proxy where servers, clients and sound misbehave, and while it is muted."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from support.mqtt import PATIENCE_S, free_port, wait_until
from support.rig import SPEECH, Rig
from support.told import COMMAND, emotion_of, proxy, told
from support.wyoming import (
    LOOPBACK,
    InLoop,
    Recogniser,
    RunningProxy,
    SttServer,
    load_info,
    recognise,
)
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error

from ser_agent.assistants.conversation import Conversation
from ser_agent.commands import HealthCheck, Reload, SetListening, SetThreshold
from ser_agent.messages import EmotionEvent, ListeningState, MicrophoneState
from ser_agent.testing import LoudnessDetector, tone

if TYPE_CHECKING:
    from wyoming.asr import Transcript

    from ser_agent.audio import Samples


def test_a_server_that_is_away_is_told_and_served_again_once_it_is_back(
    loop: InLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser_agent.assistants.wyoming_proxy.REFUSE_S", PATIENCE_S)  # the client hangs up first
    port = free_port()
    rig = Rig()

    async def ask(port: int) -> Error:
        async with AsyncTcpClient(LOOPBACK, port) as client:
            event = await client.read_event()
            assert event is not None
            assert await client.read_event() is None
            return Error.from_event(event)

    server = SttServer(loop, port=port)
    with RunningProxy(Conversation(rig.parts(), rig.occurrences), port) as running:
        error = asyncio.run(ask(running.port))
        assert error.code == "upstream-unavailable"
        assert str(port) in error.text
        with server:
            wait_until(lambda: MicrophoneState(connected=True) in told(rig, MicrophoneState), "it is back")
            assert emotion_of(asyncio.run(recognise(running.port, COMMAND)))
        with pytest.raises(AssertionError):
            asyncio.run(load_info(running.port))
        wait_until(lambda: told(rig, MicrophoneState)[-1] == MicrophoneState(connected=False, lost=True), "away")


def test_a_server_that_dies_in_the_middle_ends_its_clients_connection(loop: InLoop) -> None:
    with SttServer(loop, Recogniser(delay_s=3600)) as server, proxy(server) as running:
        task = threading.Thread(target=lambda: ends.append(asyncio.run(recognise(running.port, COMMAND))))
        ends: list[Transcript | None] = []
        task.start()
        wait_until(lambda: [e for e in server.recogniser.heard if e.type == "audio-stop"], "all is said")
        server.stop()
        task.join(PATIENCE_S)
        assert ends == [None]
        server.start()


def test_every_byte_is_passed_on_in_both_directions_also_where_it_is_no_wyoming(server: SttServer) -> None:
    garbage = bytes(range(256)) * 4096
    received = bytearray()
    with socket.create_server((LOOPBACK, 0)) as echo:

        def answer() -> None:
            while True:  # the proxy looks whether somebody is there before a client comes
                connection, _ = echo.accept()
                received.clear()
                with connection:
                    while data := connection.recv(65_536):
                        connection.sendall(data)
                        received.extend(data)
                if len(received) >= len(garbage):
                    return

        threading.Thread(target=answer, daemon=True).start()
        rig = Rig()
        with (
            RunningProxy(Conversation(rig.parts(), rig.occurrences), echo.getsockname()[1]) as running,
            socket.create_connection((LOOPBACK, running.port), timeout=PATIENCE_S) as client,
        ):

            def say() -> None:
                client.sendall(garbage)
                client.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=say)
            sender.start()
            back = bytearray()
            while data := client.recv(65_536):
                back += data
            sender.join(PATIENCE_S)
    assert bytes(received) == bytes(back) == garbage


def test_a_client_that_leaves_in_the_middle_of_a_command_leaves_nothing_behind(server: SttServer) -> None:
    rig = Rig()

    async def leave(port: int) -> None:
        async with AsyncTcpClient(LOOPBACK, port) as client:
            await client.write_event(AudioStart(16_000, 2, 1).event())
            await client.write_event(AudioChunk(16_000, 2, 1, SPEECH.tobytes()).event())

    with proxy(server, rig) as running:
        asyncio.run(leave(running.port))
        wait_until(lambda: rig.record.events, "what was said is heard")
        assert emotion_of(asyncio.run(recognise(running.port, COMMAND)))
    books = running.conversation.books
    assert (books.begun, books.published, books.open) == (2, 2, 0)


def test_sound_without_end_is_cut_so_no_more_than_an_utterance_is_kept(server: SttServer) -> None:
    rig = Rig()
    second = AudioChunk(16_000, 2, 1, tone(1.0).tobytes()).event()

    async def speak_on_and_on(port: int) -> None:
        async with AsyncTcpClient(LOOPBACK, port) as client:
            await client.write_event(AudioStart(16_000, 2, 1).event())
            for _ in range(40):
                await client.write_event(second)
            await client.write_event(AudioStop().event())
            assert await client.read_event() is not None

    with proxy(server, rig) as running:
        asyncio.run(speak_on_and_on(running.port))
    *before, last = rig.record.events
    assert {event.end_reason for event in before} == {"max_duration"}
    assert last.end_reason == "end_of_stream"
    assert max(event.duration_s for event in rig.record.events) <= 15.0
    assert sum(event.duration_s for event in rig.record.events) == pytest.approx(40.0, abs=0.1)


def test_muted_it_relays_and_hears_nothing(server: SttServer) -> None:
    rig = Rig()
    with proxy(server, rig) as running:
        assert rig.ask(SetListening(on=False)).get(timeout=PATIENCE_S).error is None
        assert emotion_of(asyncio.run(recognise(running.port, COMMAND))) is None
        assert rig.ask(SetListening(on=True)).get(timeout=PATIENCE_S).error is None
        assert emotion_of(asyncio.run(recognise(running.port, COMMAND)))
    assert told(rig, ListeningState) == [ListeningState(on=on) for on in (True, False, True)]
    assert running.conversation.books.begun == 1


def test_it_obeys_the_commands_that_make_sense_for_it(server: SttServer) -> None:
    rig = Rig()
    with proxy(server, rig) as running:
        assert rig.ask(SetThreshold(0.95)).get(timeout=PATIENCE_S).error is None
        assert (emotion_of(asyncio.run(recognise(running.port, COMMAND))) or {})["emotion"] == "uncertain"
        health = rig.ask(HealthCheck()).get(timeout=PATIENCE_S)
        assert health.data["hearing"] is True
        assert "start the process again" in (rig.ask(Reload()).get(timeout=PATIENCE_S).error or "")


def test_too_many_clients_are_refused_with_the_reason(server: SttServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser_agent.assistants.wyoming_proxy.MOST_CLIENTS", 1)

    async def two(port: int) -> Error:
        async with AsyncTcpClient(LOOPBACK, port) as first, AsyncTcpClient(LOOPBACK, port) as second:
            await first.write_event(AudioStart(16_000, 2, 1).event())
            event = await second.read_event()
            assert event is not None
            return Error.from_event(event)

    with proxy(server) as running:
        assert asyncio.run(two(running.port)).code == "busy"


def test_a_port_that_is_taken_is_told(server: SttServer) -> None:
    rig = Rig()
    running = RunningProxy(Conversation(rig.parts(), rig.occurrences), server.port)
    running.proxy._listen = type(running.proxy._listen)(LOOPBACK, server.port)
    with running:
        wait_until(lambda: running.fault, "it gives up")
    assert f"nobody can connect to tcp://{LOOPBACK}:{server.port}" in str(running.fault)


def test_stopped_while_it_still_asks_who_is_behind_it_hangs_up() -> None:
    rig = Rig()
    with socket.create_server((LOOPBACK, 0)) as silent:
        silent.settimeout(PATIENCE_S)
        with RunningProxy(Conversation(rig.parts(), rig.occurrences), silent.getsockname()[1]):
            connection, _ = silent.accept()
            connection.settimeout(PATIENCE_S)
            asked = connection.recv(65_536)
        with connection:
            while data := connection.recv(65_536):
                asked += data
    assert b"describe" in asked


def test_an_event_of_a_detector_that_dies_ends_the_proxy(server: SttServer) -> None:
    class Broken(LoudnessDetector):
        def probability(self, hop: Samples) -> float:
            raise RuntimeError("broken")

    rig = Rig(detector=Broken())
    with proxy(server, rig, max_delay_s=0.05) as running:
        asyncio.run(recognise(running.port, COMMAND))
        wait_until(lambda: running.fault, "it gives up")
    assert "stage ears died" in str(running.fault)
    assert not told(rig, EmotionEvent)
