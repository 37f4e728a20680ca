from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.mqtt import PATIENCE_S, free_port, wait_until
from support.rig import PAUSE, SPEECH, Rig
from support.wyoming import (
    CHUNK,
    INFO,
    LOOPBACK,
    InLoop,
    Recogniser,
    RunningProxy,
    SttServer,
    load_info,
    recognise,
)
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.info import AsrProgram, Info

from ser_agent.assistants.conversation import Conversation
from ser_agent.commands import HealthCheck, Reload, SetListening, SetThreshold
from ser_agent.messages import AgentInfo, Availability, EmotionEvent, ListeningState, MicrophoneState, SpeechState
from ser_agent.ports import NON_SPEECH
from ser_agent.testing import FakeClassifier, LoudnessDetector, tone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.audio import Samples, Utterance
    from ser_agent.messages import AnyMessage
    from ser_agent.ports import Answer

COMMAND: Samples = np.concatenate([PAUSE[:8000], SPEECH, PAUSE])
TOLD = {
    "emotion": "happy",
    "confidence": 0.7,
    "emotions": [{"label": "happy", "score": 0.7}, {"label": "neutral", "score": 0.2}],
}


@pytest.fixture
def loop() -> Iterator[InLoop]:
    made = InLoop()
    yield made
    made.close()


@pytest.fixture
def server(loop: InLoop) -> Iterator[SttServer]:
    with SttServer(loop) as running:
        yield running


def proxy(server: SttServer, rig: Rig | None = None, **keys: Any) -> RunningProxy:  # noqa: ANN401 - of many kinds
    rig = rig or Rig()
    return RunningProxy(Conversation(rig.parts(), rig.occurrences), server.port, **keys)


def told(rig: Rig, kind: type[AnyMessage]) -> list[AnyMessage]:
    return [message for message in rig.record.messages if isinstance(message, kind)]


def emotion_of(transcript: Transcript | None) -> dict[str, Any] | None:
    assert transcript is not None
    return (transcript.context or {}).get("emotion")


def test_home_assistants_handshake_sees_the_server_behind(server: SttServer) -> None:
    with proxy(server) as running:
        info = asyncio.run(load_info(running.port))
    assert info == asyncio.run(load_info(server.port))
    assert info.asr[0].name == "parrot"


@pytest.mark.parametrize(
    ("programs", "said"),
    [(INFO.asr, "speech to text by parrot"), ([], "no speech to text, so there will be no transcripts")],
)
def test_it_says_who_is_behind(
    loop: InLoop, caplog: pytest.LogCaptureFixture, programs: list[AsrProgram], said: str
) -> None:
    with caplog.at_level(logging.INFO), SttServer(loop, Recogniser(info=Info(asr=programs))) as server:  # noqa: SIM117
        with proxy(server):
            wait_until(lambda: said in caplog.text, "it is said")


def test_the_transcript_tells_the_emotion_and_the_event_is_published(server: SttServer) -> None:
    rig = Rig()
    with proxy(server, rig) as running:
        transcript = asyncio.run(recognise(running.port, COMMAND))
    assert transcript is not None
    assert (transcript.text, transcript.language) == ("turn on the light", "en")
    emotion = emotion_of(transcript)
    assert emotion is not None
    duration_s = emotion.pop("duration_s")
    assert emotion == TOLD
    (event,) = rig.record.events
    assert event.emotion == "happy"
    assert event.source == "scripted"
    assert event.duration_s == duration_s == pytest.approx(1.5, abs=0.1)
    assert told(rig, Availability) == [Availability(online=True)]
    assert told(rig, SpeechState) == [SpeechState(speaking=True), SpeechState(speaking=False)]
    assert told(rig, MicrophoneState)[:1] == [MicrophoneState(connected=True)]
    assert told(rig, AgentInfo)


def test_the_server_gets_the_sound_and_all_else_unchanged(server: SttServer) -> None:
    with proxy(server) as running:
        asyncio.run(recognise(running.port, COMMAND))
    assert bytes(server.recogniser.sound) == COMMAND.tobytes()
    kinds = [event.type for event in server.recogniser.heard if event.type != "describe"]
    assert kinds[:2] == ["transcribe", "audio-start"]


def test_what_stands_in_the_context_is_kept(loop: InLoop) -> None:
    with SttServer(loop, Recogniser(context={"conversation": 7})) as server, proxy(server) as running:
        transcript = asyncio.run(recognise(running.port, COMMAND))
    assert transcript is not None
    assert transcript.context is not None
    assert transcript.context["conversation"] == 7
    assert emotion_of(transcript) is not None


@pytest.mark.parametrize("context", [{"emotion": "bored"}, {"emotion": None}])
def test_an_emotion_that_somebody_else_has_told_is_left_alone(loop: InLoop, context: dict[str, Any]) -> None:
    with SttServer(loop, Recogniser(context=context)) as server, proxy(server) as running:
        transcript = asyncio.run(recognise(running.port, COMMAND))
    assert transcript is not None
    assert transcript.context == context


def test_the_text_tells_it_only_if_asked_for(server: SttServer) -> None:
    with proxy(server, in_text=True) as running:
        transcript = asyncio.run(recognise(running.port, COMMAND))
    assert transcript is not None
    assert transcript.text == "[happy] turn on the light"


@pytest.mark.parametrize("text", ["", " "])
def test_no_text_stays_no_text(loop: InLoop, text: str) -> None:
    with SttServer(loop, Recogniser(text=text)) as server, proxy(server, in_text=True) as running:
        transcript = asyncio.run(recognise(running.port, COMMAND))
    assert transcript is not None
    assert transcript.text == text


def test_doubt_is_told_in_the_context_and_not_in_the_text(server: SttServer) -> None:
    with proxy(server, Rig(min_confidence=0.9), in_text=True) as running:
        transcript = asyncio.run(recognise(running.port, COMMAND))
    assert transcript is not None
    assert transcript.text == "turn on the light"
    assert (emotion_of(transcript) or {})["emotion"] == "uncertain"


def test_several_utterances_of_a_command_are_told_together_and_published_one_by_one(server: SttServer) -> None:
    answers: list[Answer] = [{"happy": 1.0, "sad": 0.0}, {"happy": 0.0, "sad": 1.0}]
    rig = Rig(classifier=FakeClassifier(lambda _: answers.pop(0)))
    sound = np.concatenate([SPEECH, PAUSE, SPEECH, SPEECH, SPEECH, PAUSE])
    with proxy(server, rig) as running:
        transcript = asyncio.run(recognise(running.port, sound))
    assert [event.emotion for event in rig.record.events] == ["happy", "sad"]
    emotion = emotion_of(transcript)
    assert emotion is not None
    assert emotion["emotion"] == "sad"
    assert 0.6 < emotion["confidence"] < 0.8


def answer_other(_: Utterance) -> Answer:
    return NON_SPEECH


@pytest.mark.parametrize("sound", [PAUSE, np.concatenate([tone(0.05), PAUSE])])
def test_where_nobody_spoke_the_transcript_is_passed_on_as_it_is(server: SttServer, sound: Samples) -> None:
    with proxy(server) as running:
        transcript = asyncio.run(recognise(running.port, sound))
    assert transcript is not None
    assert transcript.context is None
    assert running.proxy.tally.plain == 1


def test_what_the_classifier_takes_for_no_voice_is_not_told(server: SttServer) -> None:
    rig = Rig(classifier=FakeClassifier(answer_other))
    with proxy(server, rig) as running:
        transcript = asyncio.run(recognise(running.port, COMMAND))
    assert emotion_of(transcript) is None
    assert running.conversation.books.dropped == {"non_speech": 1}


def test_an_emotion_that_comes_too_late_holds_nobody_up_and_is_still_published(server: SttServer) -> None:
    may_go_on = threading.Event()

    def slow(_: Utterance) -> Answer:
        assert may_go_on.wait(PATIENCE_S)
        return {"happy": 1.0}

    rig = Rig(classifier=FakeClassifier(slow))
    with proxy(server, rig, max_delay_s=0.05) as running:
        transcript = asyncio.run(recognise(running.port, COMMAND))
        may_go_on.set()
        wait_until(lambda: rig.record.events, "the event is published")
    assert emotion_of(transcript) is None
    assert running.proxy.tally.late == 1


def test_a_classifier_that_fails_holds_nobody_up(server: SttServer) -> None:
    def fail(_: Utterance) -> Answer:
        raise RuntimeError("no")

    rig = Rig(classifier=FakeClassifier(fail))
    with proxy(server, rig, max_delay_s=PATIENCE_S) as running:
        transcript = asyncio.run(recognise(running.port, COMMAND))
    assert emotion_of(transcript) is None
    assert running.conversation.books.failed == {"classifier": 1}


def test_several_clients_at_once_each_get_their_own(server: SttServer) -> None:
    def by_length(utterance: Utterance) -> Answer:
        return {"happy": 1.0, "sad": 0.0} if utterance.duration_s < 2.5 else {"happy": 0.0, "sad": 1.0}

    rig = Rig(classifier=FakeClassifier(by_length))
    longer = np.concatenate([SPEECH, SPEECH, SPEECH, PAUSE])

    async def all_at_once(port: int) -> list[Transcript | None]:
        return await asyncio.gather(*(recognise(port, sound) for sound in [COMMAND, longer] * 4))

    with proxy(server, rig) as running:
        transcripts = asyncio.run(all_at_once(running.port))
    emotions = [(emotion_of(transcript) or {}).get("emotion") for transcript in transcripts]
    assert emotions == ["happy", "sad"] * 4
    assert running.conversation.books.published == 8


def test_one_connection_may_bring_several_commands(server: SttServer) -> None:
    async def twice(port: int) -> list[Transcript]:
        transcripts = []
        async with AsyncTcpClient(LOOPBACK, port) as client:
            for _ in range(2):
                await client.write_event(AudioStart(16_000, 2, 1).event())
                await client.write_event(AudioChunk(16_000, 2, 1, COMMAND.tobytes()).event())
                await client.write_event(AudioStop().event())
                event = await client.read_event()
                assert event is not None
                transcripts.append(Transcript.from_event(event))
        return transcripts

    rig = Rig()
    with proxy(server, rig) as running:
        transcripts = asyncio.run(twice(running.port))
    assert all(emotion_of(transcript) for transcript in transcripts)
    assert len(rig.record.events) == 2


@pytest.mark.parametrize(
    ("rate", "width", "channels"), [(16_000, 2, 1), (48_000, 4, 2), (8_000, 1, 1), (44_100, 3, 1)]
)
def test_sound_of_any_format_is_heard(server: SttServer, rate: int, width: int, channels: int) -> None:
    at = np.arange(2 * rate) / rate
    sine = np.where(at < 1.2, 0.5 * np.sin(2 * np.pi * 220 * at), 0.0)
    whole = np.repeat(sine[:, None], channels, axis=1)
    if width == 1:
        sound = (np.round(whole * 127) + 128).astype(np.uint8).tobytes()
    else:
        whole_numbers = np.round(whole * (2 ** (8 * width - 1) - 1)).astype("<i4")
        sound = whole_numbers.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()

    async def say(port: int) -> Transcript:
        async with AsyncTcpClient(LOOPBACK, port) as client:
            await client.write_event(AudioStart(rate, width, channels).event())
            for start in range(0, len(sound), 999):
                await client.write_event(AudioChunk(rate, width, channels, sound[start : start + 999]).event())
            await client.write_event(AudioStop().event())
            event = await client.read_event()
            assert event is not None
            return Transcript.from_event(event)

    rig = Rig()
    with proxy(server, rig) as running:
        assert emotion_of(asyncio.run(say(running.port)))
    (event,) = rig.record.events
    assert event.duration_s == pytest.approx(1.4, abs=0.15)


def test_a_format_that_makes_no_sense_is_relayed_and_not_heard(server: SttServer) -> None:
    async def say(port: int) -> Transcript:
        async with AsyncTcpClient(LOOPBACK, port) as client:
            await client.write_event(AudioStart(1, 9, 500).event())
            await client.write_event(AudioChunk(1, 9, 500, bytes(CHUNK)).event())
            await client.write_event(AudioStop().event())
            event = await client.read_event()
            assert event is not None
            return Transcript.from_event(event)

    with proxy(server) as running:
        assert emotion_of(asyncio.run(say(running.port))) is None
    assert len(server.recogniser.sound) == CHUNK


def test_a_server_that_is_away_is_told_and_served_again_once_it_is_back(loop: InLoop) -> None:
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
