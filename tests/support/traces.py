"""Looks for a known sound in memory and in files: any stretch of it, in any number format and at any level."""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.audio import Samples

BITS = 64
SHORTEST = 2 * BITS + 1
"""Samples of the shortest stretch that is found for certain: 8 ms."""
PIECE_BYTES = 1 << 22
PAGE_BYTES = mmap.PAGESIZE
LEAST_CHANGES = 12
"""A code with fewer changes between rising and falling is found in any smooth curve, and tells nothing."""
FLOAT_OBJECT_BYTES = 24
"""Python's floats, one after the other, have their value in the last 8 of so many bytes."""
CONTAINERS = (b"fLaC", b"OggS", b"RIFF", b"FORM", b"ID3", b".snd")
_MAP = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ \S+\s*(.*)")

Codes: TypeAlias = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Trace:
    """A stretch of the sound that was found.

    Attributes:
        where: the file or the memory's mapping.
        form: the number format.
        count: how many stretches of 64 samples.
    """

    where: str
    form: str
    count: int


def watermarked(speech: Samples, level: float = 400.0) -> Samples:
    """Speech with a pseudo-random sequence mixed in, by which each of its stretches can be told."""
    sequence = np.random.default_rng(20_261_127).normal(0.0, level, len(speech))
    return np.clip(speech + np.rint(sequence), -32_768, 32_767).astype(np.int16)


class Tracer:
    """Knows a sound by its ups and downs: they stay the same at any level, offset and number format."""

    def __init__(self, sound: Samples) -> None:
        """Learn the sound.

        Args:
            sound: int16, shape ``(n,)``, as ``watermarked`` makes it.
        """
        rises = sound[1:] > sound[:-1]
        windows = np.lib.stride_tricks.sliding_window_view(rises, BITS)
        changes = (windows[:, 1:] != windows[:, :-1]).sum(axis=1)
        self._known = np.unique(_packed(windows[changes >= LEAST_CHANGES].ravel()))

    def in_bytes(
        self, data: bytes | bytearray, where: str, *, every_alignment: bool = False, least: int = 1
    ) -> list[Trace]:
        """Stretches of the sound in some bytes, of so many codes in a row at least."""
        found: dict[str, int] = {}
        for form, values in _readings(data, every_alignment=every_alignment):
            with np.errstate(invalid="ignore"):
                rises = values[1:] > values[:-1]
            codes = _packed(rises[: len(rises) - len(rises) % BITS])
            places = np.searchsorted(self._known, codes).clip(max=len(self._known) - 1)
            if count := _in_runs(self._known[places] == codes, least):
                found[form] = found.get(form, 0) + count
        return [Trace(where, form, count) for form, count in found.items()]

    def in_process(self, pid: int, least: int = 1) -> list[Trace]:
        """Stretches in all memory that a process can write to, of so many codes in a row at least."""
        traces: list[Trace] = []
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for start, end, name in pages_in_use(pid):
                for position in range(start, end, PIECE_BYTES):
                    memory.seek(position)
                    try:
                        data = memory.read(min(end - position, PIECE_BYTES))
                    except OSError:  # a device's pages, or it was unmapped meanwhile
                        continue
                    traces += self.in_bytes(data, f"{position:x} {name}", least=least)
        return traces

    def in_files(self, folder: Path) -> list[Trace]:
        """Stretches, and files of sound, in all files below a folder."""
        traces = []
        for path in folder.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                traces += self.in_bytes(data, str(path), every_alignment=True)
                traces += [Trace(str(path), repr(mark), 1) for mark in CONTAINERS if data.startswith(mark)]
        return traces


def pages_in_use(pid: int) -> Iterator[tuple[int, int, str]]:
    """Start, end and name of what is really there of the writable mappings: the rest has never been touched."""
    with Path(f"/proc/{pid}/pagemap").open("rb") as pagemap:
        for start, end, name in writable_maps(pid):
            pagemap.seek(start // PAGE_BYTES * 8)
            entries = np.frombuffer(pagemap.read((end - start) // PAGE_BYTES * 8), np.uint64)
            there = np.concatenate(([False], entries >> np.uint64(62) > 0, [False]))
            borders = np.flatnonzero(there[1:] != there[:-1]) * PAGE_BYTES + start
            for first, last in borders.reshape(-1, 2):
                yield int(first), int(last), name


def writable_maps(pid: int) -> Iterator[tuple[int, int, str]]:
    """Start, end and name of the mappings that a process may write to."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        match = _MAP.fullmatch(line)
        assert match is not None, line
        if match[3].startswith("rw"):
            yield int(match[1], 16), int(match[2], 16), match[4] or "anonymous"


def _readings(data: bytes | bytearray, *, every_alignment: bool) -> Iterator[tuple[str, NDArray[Any]]]:
    for kind in (np.dtype("<i2"), np.dtype("<f4"), np.dtype("<f8")):
        for offset in range(kind.itemsize if every_alignment else 1):
            count = (len(data) - offset) // kind.itemsize
            if count > BITS:
                yield str(kind), np.frombuffer(data, kind, count, offset)
    doubles = np.frombuffer(data, np.dtype("<f8"), len(data) // 8)
    for offset in range(FLOAT_OBJECT_BYTES // 8):
        if len(doubles) // 3 > BITS:
            yield "Python floats", doubles[offset::3]


def _in_runs(hits: NDArray[np.bool_], least: int) -> int:
    """How many are hits, of those that stand at least so many in a row."""
    borders = np.flatnonzero(np.diff(np.concatenate(([False], hits, [False])).astype(np.int8)))
    lengths = borders[1::2] - borders[::2]
    return int(lengths[lengths >= least].sum())


def _packed(rises: NDArray[np.bool_]) -> Codes:
    """Each 64 rises and falls as one number."""
    return np.packbits(rises, bitorder="little").view(np.uint64)
