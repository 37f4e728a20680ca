from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.mqtt import PATIENCE_S, wait_until
from support.rig import PAUSE, SPEECH, Rig
from support.told import COMMAND, TOLD, emotion_of, proxy, told
from support.wyoming import (
    CHUNK,
    INFO,
    LOOPBACK,
    InLoop,
    Recogniser,
    SttServer,
    load_info,
    recognise,
)
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.info import AsrProgram, Info

from ser_agent.messages import AgentInfo, Availability, MicrophoneState, SpeechState
from ser_agent.ports import NON_SPEECH
from ser_agent.testing import FakeClassifier, tone

if TYPE_CHECKING:
    from ser_agent.audio import Samples, Utterance
    from ser_agent.ports import Answer


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
