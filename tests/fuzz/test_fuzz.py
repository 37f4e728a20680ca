"""Whatever is read from outside, in any state: documented errors and nothing else, and no memory that grows.

``SER_AGENT_FUZZ_S`` says for how many seconds each target is besieged by ``scripts/test --long tests/fuzz``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import strategies as st
from pydantic import ValidationError
from support.events import an_event, some_info
from support.fuzzing import Target, attack, besiege, damaged, damaged_json
from support.schemas import refusals

from ser_agent import config
from ser_agent.audio import SAMPLE_RATE, AudioFrame
from ser_agent.audio_files import stream_file
from ser_agent.commands import CommandDesk, Reply, Request
from ser_agent.config_text import example
from ser_agent.errors import AudioFileError, ConfigError
from ser_agent.messages import EmotionEvent
from ser_agent.sinks.mqtt_commands import CommandGate
from ser_agent.sinks.mqtt_rivals import Rivals
from ser_agent.sinks.mqtt_topics import Publication, Topics
from ser_agent.sources.hermes_inflow import Arrival
from ser_agent.sources.hermes_link import Sessions
from ser_agent.sources.hermes_names import SiteNames
from ser_agent.sources.hermes_satellites import Patience, Satellites
from ser_agent.state import StateFile
from ser_agent.testing import tone
from ser_agent.wyoming_wire import WireParser

SHORT = 40
"""Examples for each target in every run."""
LONG_S = 60.0
GROWTH_MB = 16.0
"""More than this between the second quarter of a siege and its last is no noise of the allocator's."""
FOLDER = Path(tempfile.mkdtemp(prefix="ser-agent-fuzz-"))


def some_wavs() -> list[bytes]:
    """Short WAV files of every sample format, with one channel and with two."""
    found = []
    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"):
        for channels in (1, 2):
            sound = np.repeat(tone(0.03)[:, None], channels, axis=1)
            for kind in ("WAV", "WAVEX"):
                buffer = io.BytesIO()
                soundfile.write(buffer, sound, 16_000 // channels, subtype=subtype, format=kind)
                found.append(buffer.getvalue())
    return found


def as_payload(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode(errors="surrogatepass")


def configure(text: bytes) -> None:
    file = FOLDER / "ser-agent.yaml"
    file.write_bytes(text)
    with contextlib.suppress(ConfigError):
        config.load(file)


def override(text: str) -> None:
    with contextlib.suppress(ConfigError):
        config.load(overrides=(text,))


def command(thrown: tuple[str, bytes]) -> None:
    tail, payload = thrown
    told: list[Publication] = []
    asked: list[Request] = []
    desk = CommandDesk(asked.append)
    gate = CommandGate(Topics("ser-agent", "attic"), desk, told.append, clock=lambda: 0.0)
    gate.take(tail, payload, retained=False)
    for request in asked:
        request.answer(Reply(error="not now"))
    for publication in told:
        assert refusals("response", json.loads(publication.payload)) == []


def audio_file(payload: bytes) -> None:
    file = FOLDER / "sound.wav"
    file.write_bytes(payload)
    with contextlib.suppress(AudioFileError):
        assert sum(len(samples) for samples in stream_file(file)) > 0


def event(payload: bytes) -> None:
    try:
        read = EmotionEvent.model_validate_json(payload)
    except ValidationError:
        return
    again = read.model_dump_json(by_alias=True)
    assert EmotionEvent.model_validate_json(again) == read


def rival(payload: bytes) -> None:
    rivals = Rivals("attic")
    rivals.introduce(some_info().model_dump_json().encode())
    for retained in (True, False):
        rivals.judge(payload, retained=retained)
        rivals.begin_session()


def state(payload: bytes) -> None:
    file = FOLDER / "state.json"
    file.write_bytes(payload)
    kept = StateFile(file)
    kept.write("section", {"fact": 1})
    assert kept.read("section") == {"fact": 1}
    kept.close()
    again = StateFile(file)
    assert again.read("section") == {"fact": 1}
    again.close()


SATELLITES = Satellites(SiteNames(StateFile(), {"attic"}), most=8, patience=Patience(2.0, 60.0))
"""One for all examples: what it keeps of each must not add up."""
SESSIONS = Sessions()
NOW_S = iter(range(10**9))


def hermes(thrown: tuple[str, bytes, bytes]) -> None:
    name, sound, session = thrown
    now_s = float(next(NOW_S))
    SESSIONS.note(session, started=True, now_s=now_s)
    heard_of = SESSIONS.at("kitchen", now_s)
    for heard in SATELLITES.hear(Arrival(name, sound, now_s, heard_of)):
        if isinstance(heard, AudioFrame):
            assert heard.samples.dtype == np.int16
            assert heard.samples.ndim == 1
            assert len(heard.samples) > 0
            assert len(heard.samples) <= 200 * len(sound) * SAMPLE_RATE / 4_000
            assert json.dumps({"session": heard.session}, ensure_ascii=False).encode()
    assert sum(1 for _ in SATELLITES.lulls(now_s)) <= 16
    assert SATELLITES.heard <= 8


def wyoming(received: list[bytes]) -> None:
    parser = WireParser()
    passed_on = b"".join(token.raw for piece in received for token in parser.feed(piece)) + parser.rest()
    assert passed_on == b"".join(received)


HALF = "\ud800"
"""Half of a surrogate pair, which JSON can name and UTF-8 cannot write."""
REQUESTS: list[dict[str, Any]] = [
    {"transaction": "a"},
    {"transaction": 7},
    {"transaction": None},
    {"transaction": HALF},
    {HALF: 1},
    {},
]
TAILS = st.sampled_from(["listen/set", "threshold/set", "request/health_check", "request/restart"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=40
)
SESSIONS_STARTED: list[dict[str, Any]] = [
    {"siteId": "kitchen", "sessionId": "a1", "customData": None},
    {"siteId": "kitchen", "sessionId": HALF},
    {"siteId": HALF, "sessionId": "a1"},
]
WAVS = some_wavs()
A_CONFIGURATION = b"site: attic\nsource: {type: files, paths: [a.wav]}\nsinks: [&one {type: mqtt}, *one]\n"
AN_EVENT: dict[str, Any] = json.loads(an_event().model_dump_json(by_alias=True))
EVENTS = [b'{"type": "audio-chunk", "data": {"rate": 16000}, "payload_length": 4}\nabcd{"type": "audio-stop"}\n']

TARGETS = [
    Target(
        "YAML", damaged([example().encode(), b"site: attic\nsource: {type: files, paths: [a.wav]}\n"]), configure
    ),
    Target("--set", st.text(st.characters(exclude_categories=["Cs"]), max_size=60), override),
    Target(
        "commands",
        st.tuples(TAILS, damaged_json(REQUESTS) | damaged([b"ON", b"OFF", b"0.55"]) | st.text().map(as_payload)),
        command,
    ),
    Target("audio files", damaged(WAVS), audio_file),
    Target("events", damaged_json([AN_EVENT]), event),
    Target("info of rivals", damaged_json([some_info().model_dump(mode="json")]), rival),
    Target("state file", damaged_json([{"controls": {"listening": False}}]), state),
    Target("Hermes", st.tuples(st.text(max_size=20), damaged(WAVS), damaged_json(SESSIONS_STARTED)), hermes),
    Target("Wyoming", st.lists(damaged(EVENTS) | damaged_json([{"type": "describe"}]), max_size=4), wyoming),
]
EACH = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


@EACH
def test_nothing_but_documented_errors_comes_of_any_input(target: Target) -> None:
    attack(target, SHORT, number=0)


@pytest.mark.long
@pytest.mark.timeout(8 * 3600)
@EACH
def test_under_siege_nothing_but_documented_errors_comes_of_it_and_memory_does_not_grow(target: Target) -> None:
    count, weights = besiege(target, float(os.environ.get("SER_AGENT_FUZZ_S", LONG_S)))
    quarter = max(1, len(weights) // 4)
    early, late = (
        statistics.median(weights[quarter : 2 * quarter] or weights),
        statistics.median(weights[-quarter:]),
    )
    print(f"{target.name}: {count} inputs, {late - early:+.1f} MiB")
    assert late - early < GROWTH_MB, weights
