"""Wyoming as it is on the wire: bytes in, events out, and not a byte of it lost. Pure: no I/O.

An event is a line of JSON, then ``data_length`` bytes of JSON, then ``payload_length`` bytes of anything. Whoever
passes on the ``raw`` of every token passes on the stream as it was, also where it is no Wyoming at all.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from ser_agent.pcm import PcmFormat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST_LINE = 65_536
LONGEST_DATA = 1_048_576
"""More than this is passed on without being looked at."""
AUDIO_CHUNK = "audio-chunk"
AUDIO_START = "audio-start"
AUDIO_STOP = "audio-stop"
TRANSCRIBE = "transcribe"
TRANSCRIPT = "transcript"


@dataclass(frozen=True, slots=True)
class Head:
    """An event but for its payload, which follows in pieces.

    Attributes:
        raw: what was read, the line and the data behind it.
        type: kind of the event.
        fields: what else stands in the line.
        data: what stands in the line and behind it; empty where that is too long to be looked at.
        has_payload: whether pieces of a payload follow.
        whole: whether ``data`` is all there is.
    """

    raw: bytes
    type: str
    fields: Mapping[str, Any]
    data: Mapping[str, Any]
    has_payload: bool = False
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Payload:
    """The next piece of the payload of the event before it.

    Attributes:
        raw: the piece.
        last: whether the payload ends with it.
    """

    raw: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Opaque:
    """Bytes that are not looked at: data that is too long, or whatever follows what is no Wyoming.

    Attributes:
        raw: the bytes.
    """

    raw: bytes


Token: TypeAlias = Head | Payload | Opaque


@dataclass(slots=True)
class _Awaited:
    """An event whose line has been read."""

    line: bytes
    type: str
    fields: dict[str, Any]
    data_length: int
    payload_length: int


@dataclass(slots=True)
class WireParser:
    """Cuts a stream into tokens, however it arrives. What it keeps is bounded.

    Attributes:
        broken: why the stream is no Wyoming; None while it is.
    """

    broken: str | None = None
    _kept: bytearray = field(default_factory=bytearray)
    _awaited: _Awaited | None = None
    _opaque_left: int = 0
    _payload_left: int = 0

    def feed(self, received: bytes) -> Iterator[Token]:
        """Take what was received.

        Yields:
            What it completes, in order.
        """
        self._kept += received
        while self._kept:
            token = self._next()
            if token is None:
                return
            yield token

    def rest(self) -> bytes:
        """The stream has ended: what was kept because more should have come."""
        line = self._awaited.line if self._awaited is not None else b""
        left = line + bytes(self._kept)
        self._kept.clear()
        self._awaited = None
        return left

    def _next(self) -> Token | None:
        if self.broken is not None:
            return Opaque(self._take(len(self._kept)))
        if self._opaque_left:
            piece = self._take(min(self._opaque_left, len(self._kept)))
            self._opaque_left -= len(piece)
            return Opaque(piece)
        if self._awaited is not None:
            return self._with_data(self._awaited)
        if self._payload_left:
            piece = self._take(min(self._payload_left, len(self._kept)))
            self._payload_left -= len(piece)
            return Payload(piece, last=not self._payload_left)
        return self._head()

    def _head(self) -> Token | None:
        end = self._kept.find(b"\n", 0, LONGEST_LINE)
        if end < 0:
            return self._break("a line is too long") if len(self._kept) >= LONGEST_LINE else None
        line = bytes(self._kept[: end + 1])
        fields = _object(line)
        kind = None if fields is None else fields.get("type")
        if fields is None or not isinstance(kind, str):
            return self._break("a line is no event")
        lengths = [_length(fields, "data_length"), _length(fields, "payload_length")]
        if None in lengths:
            return self._break("a length is none")
        data_length, payload_length = (length or 0 for length in lengths)
        self._take(len(line))
        awaited = _Awaited(line, kind, fields, data_length, payload_length)
        if data_length > LONGEST_DATA:
            self._opaque_left = data_length
            return self._finish(awaited, line, {}, whole=False)
        if data_length:
            self._awaited = awaited
            return self._with_data(awaited)
        return self._finish(awaited, line, _mapping(fields.get("data")))

    def _with_data(self, awaited: _Awaited) -> Token | None:
        if len(self._kept) < awaited.data_length:
            return None
        self._awaited = None
        raw = self._take(awaited.data_length)
        data = _object(raw)
        merged = {**_mapping(awaited.fields.get("data")), **(data or {})}
        return self._finish(awaited, awaited.line + raw, merged, whole=data is not None)

    def _finish(self, awaited: _Awaited, raw: bytes, data: dict[str, Any], *, whole: bool = True) -> Head:
        self._payload_left = awaited.payload_length
        return Head(raw, awaited.type, awaited.fields, data, awaited.payload_length > 0, whole)

    def _break(self, why: str) -> Opaque:
        self.broken = why
        return Opaque(self._take(len(self._kept)))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._kept[:count])
        del self._kept[:count]
        return taken


def sound_format(data: Mapping[str, Any]) -> PcmFormat | None:
    """How an event says that its sound is written; None where it does not."""
    rate, width, channels = (_number(data.get(name)) for name in ("rate", "width", "channels"))
    if rate is None or width is None or channels is None:
        return None
    return PcmFormat(rate, width, channels)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def with_data(head: Head, data: Mapping[str, Any]) -> bytes:
    """An event with other data, everything else as it was; its payload is to follow as before."""
    fields = {key: value for key, value in head.fields.items() if key not in {"data", "data_length"}}
    return write(fields, data)


def write(fields: Mapping[str, Any], data: Mapping[str, Any]) -> bytes:
    """An event on the wire, without a payload of its own.

    Args:
        fields: what stands in the line, ``type`` among it.
        data: what stands behind it.
    """
    behind = json.dumps(data, ensure_ascii=False).encode() if data else b""
    line = {**fields, **({"data_length": len(behind)} if behind else {})}
    return json.dumps(line, ensure_ascii=False).encode() + b"\n" + behind


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _length(fields: Mapping[str, Any], name: str) -> int | None:
    """A length, 0 where none is given; None where it is no length."""
    value = fields.get(name)
    if value is None:
        return 0
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
