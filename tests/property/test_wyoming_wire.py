from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wyoming.event import Event, read_event, write_event

from ser_agent.wyoming_wire import LONGEST_DATA, LONGEST_LINE, Head, Opaque, Payload, Token, WireParser, with_data

json_values = st.none() | st.integers() | st.text(max_size=8) | st.lists(st.booleans(), max_size=2)
events = st.builds(
    Event,
    type=st.text(min_size=1, max_size=12),
    data=st.dictionaries(st.text(max_size=6), json_values, max_size=3),
    payload=st.none() | st.binary(max_size=40),
)


def written(*several: Event) -> bytes:
    """The events as the wyoming package puts them on the wire."""
    stream = io.BytesIO()
    for event in several:
        write_event(event, stream)
    return stream.getvalue()


def cut(stream: bytes, sizes: list[int]) -> list[bytes]:
    pieces, position = [], 0
    for size in sizes:
        pieces.append(stream[position : position + size])
        position += size
    return [*pieces, stream[position:]]


def parsed(parser: WireParser, pieces: list[bytes]) -> list[Token]:
    return [token for piece in pieces for token in parser.feed(piece)]


def raw(tokens: list[Token]) -> bytes:
    return b"".join(token.raw for token in tokens)


cuts = st.lists(st.integers(0, 60), max_size=12)
few = settings(max_examples=40, deadline=None)


@few
@given(st.lists(events, max_size=4), cuts)
def test_however_it_is_cut_all_events_are_found_and_all_bytes_passed_on(
    sent: list[Event], sizes: list[int]
) -> None:
    stream = written(*sent)
    parser = WireParser()
    tokens = parsed(parser, cut(stream, sizes))
    assert raw(tokens) + parser.rest() == stream
    assert parser.broken is None
    heads = [token for token in tokens if isinstance(token, Head)]
    assert [(head.type, head.data) for head in heads] == [(event.type, event.data) for event in sent]
    payloads = b"".join(token.raw for token in tokens if isinstance(token, Payload))
    assert payloads == b"".join(event.payload or b"" for event in sent)


@few
@given(st.binary(max_size=200), cuts)
def test_garbage_is_passed_on_as_it_is(stream: bytes, sizes: list[int]) -> None:
    parser = WireParser()
    assert raw(parsed(parser, cut(stream, sizes))) + parser.rest() == stream


@few
@given(events, st.dictionaries(st.text(max_size=6), json_values, min_size=1, max_size=3))
def test_an_event_with_other_data_is_otherwise_the_same(event: Event, data: dict[str, Any]) -> None:
    stream = written(event)
    head, *payload = WireParser().feed(stream)
    assert isinstance(head, Head)
    again = read_event(io.BytesIO(with_data(head, data) + raw(list(payload))))
    assert again is not None
    assert (again.type, again.data) == (event.type, data)
    assert (again.payload or b"") == (event.payload or b"")


def test_data_in_the_line_itself_counts_and_gives_way_to_what_stands_behind_it() -> None:
    line = {"type": "transcript", "data": {"text": "a", "language": "en"}, "data_length": 12}
    (head,) = WireParser().feed(json.dumps(line).encode() + b'\n{"text":"b"}')
    assert isinstance(head, Head)
    assert head.data == {"text": "b", "language": "en"}


def test_data_too_long_to_be_looked_at_is_passed_on_and_the_next_event_is_found() -> None:
    behind = json.dumps({"text": "x" * LONGEST_DATA}).encode()
    long = json.dumps({"type": "transcript", "data_length": len(behind)}).encode() + b"\n" + behind
    stream = long + written(Event("pong"))
    tokens = parsed(WireParser(), cut(stream, [70_000] * 20))
    assert raw(tokens) == stream
    heads = [token for token in tokens if isinstance(token, Head)]
    assert [(head.type, head.whole) for head in heads] == [("transcript", False), ("pong", True)]


@pytest.mark.parametrize(
    "line",
    [
        b"not JSON\n",
        b"[1]\n",
        b'{"no": "type"}\n',
        b'{"type": "x", "data_length": -1}\n',
        b'{"type": "x", "payload_length": "9"}\n',
        b"[" * 40_000 + b"\n",
        b"x" * LONGEST_LINE,
    ],
)
def test_what_is_no_wyoming_is_not_looked_at_any_more(line: bytes) -> None:
    parser = WireParser()
    tokens = parsed(parser, [line, written(Event("ping"))])
    assert parser.broken is not None
    assert all(isinstance(token, Opaque) for token in tokens)
    assert raw(tokens) == line + written(Event("ping"))


def test_an_endless_payload_is_kept_nowhere() -> None:
    parser = WireParser()
    header = b'{"type": "audio-chunk", "payload_length": 1000000000000}\n'
    tokens = parsed(parser, [header, *[bytes(65_536)] * 4])
    assert len(tokens) == 5
    assert not parser.rest()
