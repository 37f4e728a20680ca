"""The wire format of satellites and workers: what is said arrives, and what is wrong is refused."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ser_agent.audio import SAMPLE_RATE
from ser_agent.fleet_fields import WireError
from ser_agent.fleet_wire import (
    FleetTopics,
    Presence,
    Reply,
    decode_presence,
    decode_reply,
    decode_sound,
    encode_presence,
    encode_reply,
    encode_sound,
    is_id,
)

ID = "01HZY3K8QJ5X0V7N2M4R6T8W9A"
ANSWERED = Reply(ID, "answered", "kitchen-1", model="embedded@3", scores={"happy": 0.75, "sad": 0.25})
PRESENCE = Presence("kitchen-1", "workers", "embedded@3", ("happy", "sad"), 0.45, "MIT", ("de", "en"))
few = settings(max_examples=60, deadline=None)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def flac(samples: np.ndarray, rate: int = SAMPLE_RATE, subtype: str = "PCM_16", kind: str = "FLAC") -> bytes:
    packed = io.BytesIO()
    soundfile.write(packed, samples, rate, format=kind, subtype=subtype)
    return packed.getvalue()


def with_fields(payload: bytes, **fields: object) -> bytes:
    return json.dumps({**json.loads(payload), **fields}).encode()


def test_the_topics_are_those_of_the_contract() -> None:
    topics = FleetTopics("ser-agent")
    assert topics.utterances("kitchen") == "ser-agent/utterances/kitchen"
    assert topics.answers("kitchen") == "ser-agent/answers/kitchen"
    assert topics.worker("w1") == "ser-agent/workers/w1"
    assert topics.all_workers == "ser-agent/workers/+"
    assert topics.shared("night") == "$share/night/ser-agent/utterances/#"


@pytest.mark.parametrize(
    ("topic", "site"),
    [
        ("home/ser/utterances/kitchen", "kitchen"),
        ("home/ser/utterances/", None),
        ("home/ser/utterances/a/b", None),
        ("home/ser/utterances/Kitchen", None),
        ("home/ser/answers/kitchen", None),
        ("kitchen", None),
    ],
)
def test_a_topic_tells_the_site_only_where_it_is_one_of_sound(topic: str, site: str | None) -> None:
    assert FleetTopics("home/ser").site_of(topic) == site


def test_a_topic_tells_the_worker() -> None:
    topics = FleetTopics("b")
    assert topics.worker_of(topics.worker("pi-4a2f")) == "pi-4a2f"
    assert topics.worker_of("b/workers/") is None
    assert topics.worker_of("b/answers/pi") is None


@few
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=3000))
def test_sound_arrives_as_it_was(values: list[int]) -> None:
    samples = np.array(values, dtype=np.int16)
    assert np.array_equal(decode_sound(encode_sound(samples)), samples)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "no FLAC"),
        (b"fLaC", "no FLAC"),
        (flac(np.zeros(100, np.int16), rate=8000), "mono 16 kHz"),
        (flac(np.zeros((100, 2), np.int16)), "mono 16 kHz"),
        (flac(np.zeros(100, np.int16), subtype="PCM_24"), "mono 16 kHz"),
        (flac(np.zeros(100, np.int16), kind="WAV"), "mono 16 kHz"),
        (flac(np.zeros(0, np.int16)), "no FLAC|is empty"),
        (flac(np.zeros(60 * SAMPLE_RATE + 1, np.int16)), "longer than 60 s"),
        (b"fLaC" + b"\0" * 3_000_000, "too long"),
    ],
)
def test_other_sound_is_refused(payload: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        decode_sound(payload)


@few
@given(st.integers(0, 2000), st.binary(max_size=12))
def test_damaged_sound_is_refused_or_read_but_nothing_else(where: int, noise: bytes) -> None:
    whole = encode_sound((np.arange(1600) * 37 % 2000).astype(np.int16))
    damaged = whole[: where % len(whole)] + noise + whole[where % len(whole) + len(noise) :]
    try:
        samples = decode_sound(damaged)
    except WireError:
        return
    assert samples.dtype == np.int16
    assert samples.ndim == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(ID, "taken", "w"),
        ANSWERED,
        Reply(ID, "non_speech", "w", model="embedded@3"),
        Reply(ID, "failed", "w", reason="undecodable"),
    ],
)
def test_answers_arrive_as_they_were(reply: Reply) -> None:
    assert decode_reply(encode_reply(reply)) == reply


def test_presence_arrives_as_it_was() -> None:
    assert decode_presence(encode_presence(PRESENCE)) == PRESENCE


def test_an_empty_presence_says_that_the_worker_has_gone() -> None:
    assert decode_presence(b"") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 2},
        {"version": True},
        {"id": "short"},
        {"id": 7},
        {"state": "done"},
        {"state": ["answered"]},
        {"worker": "a/b"},
        {"worker": ""},
        {"model": "two\nlines"},
        {"model": None},
        {"scores": {}},
        {"scores": {"happy": True, "sad": 0.0}},
        {"scores": {"happy": "0.5", "sad": 0.5}},
        {"scores": {"happy": math.nan, "sad": 1.0}},
        {"scores": {"happy": math.inf, "sad": 0.0}},
        {"scores": {"happy": 10**400, "sad": 0.0}},
        {"scores": {"happy": 0.2, "sad": 0.2}},
        {"scores": {"happy": -0.5, "sad": 1.5}},
        {"scores": {"\ud800": 1.0}},
        {"scores": [["happy", 1.0]]},
        {"scores": {str(number): 1 / 300 for number in range(300)}},
    ],
)
def test_an_answer_with_a_wrong_field_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(WireError):
        decode_reply(with_fields(encode_reply(ANSWERED), **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": []},
        {"labels": ["sad", "sad"]},
        {"labels": "happy"},
        {"labels": [1]},
        {"uncertain_below": 2},
        {"uncertain_below": None},
        {"uncertain_below": math.nan},
        {"languages": None},
        {"licence": 3},
        {"group": "#"},
    ],
)
def test_a_presence_with_a_wrong_field_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(WireError):
        decode_presence(with_fields(encode_presence(PRESENCE), **fields))


@few
@given(st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b"[" * 50_000)
@example(b"1" * 5_000)
@example(b"\xff\xfe{\x00}\x00")
def test_what_is_no_message_is_refused_and_nothing_else_is_raised(payload: bytes) -> None:
    for decode in (decode_reply, decode_presence):
        if decode is decode_presence and not payload:
            continue
        with pytest.raises(WireError):
            decode(payload)


@few
@given(st.sampled_from(["id", "state", "worker", "model", "scores", "reason", "version"]), json_values)
def test_any_value_in_any_field_is_read_or_refused(key: str, value: object) -> None:
    try:
        reply = decode_reply(with_fields(encode_reply(ANSWERED), **{key: value}))
    except WireError:
        return
    assert is_id(reply.id)
    assert decode_reply(encode_reply(reply)) == reply
