"""What a disk would hold after a power cut at any system call of a program that strace has watched.

What was synced is there, as POSIX promises it: a file's bytes after its own ``fsync``, a name after that of its
folder. Of the rest any part may be there, sector by sector; what a program shares by ``mmap`` is never synced.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import pytest

if TYPE_CHECKING:
    import random

SECTOR = 512
MAPPED = "-shm"
"""Names of SQLite's files that end so are written by ``mmap``, which strace doesn't see."""
TRACED = (
    "openat,creat,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,ftruncate,truncate,fallocate,unlink,"
    "unlinkat,rmdir,rename,renameat,renameat2,mkdir,mkdirat,link,linkat,symlink,symlinkat,copy_file_range,sendfile"
)
CALL = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>\d+)(?:<(?P<opened>(?:\\x..)*)>)?")
QUOTED = re.compile(r'"((?:\\x..)*)"')
OPEN_FILE = re.compile(r"\b(\d+)<((?:\\x..)*)>")
TESTS = Path(__file__).resolve().parents[1]


def decoded(text: str) -> bytes:
    """Bytes that strace wrote as ``\\x00``."""
    return bytes.fromhex(text.replace(r"\x", ""))


class Call(NamedTuple):
    """A system call that succeeded.

    Attributes:
        name: which.
        descriptor: the open file that it is about; -1 where it is about none.
        paths: the paths that it is about.
        data: what is written.
        arguments: all of them, as text.
        result: what it returned.
    """

    name: str
    descriptor: int
    paths: tuple[Path, ...]
    data: bytes
    arguments: str
    result: int

    @classmethod
    def parse(cls, line: str) -> Call | None:
        """As strace tells it; None for what failed or is no call."""
        found = CALL.match(line)
        if found is None:
            return None
        name, arguments, result = found["name"], found["arguments"], int(found["result"])
        quoted = [decoded(text) for text in QUOTED.findall(arguments)]
        if name == "openat":
            return cls(name, result, (path_of(found["opened"]),), b"", arguments, result)
        if of := OPEN_FILE.match(arguments):
            return cls(name, int(of[1]), (path_of(of[2]),), b"".join(quoted)[:result], arguments, result)
        return cls(name, -1, tuple(Path(os.fsdecode(text)) for text in quoted), b"", arguments, result)

    @property
    def is_report(self) -> bool:
        """Whether the program said something on its standard output."""
        return self.descriptor == 1

    @property
    def last_number(self) -> int:
        """The last of its arguments."""
        return int(self.arguments.rpartition(",")[2])


def path_of(text: str) -> Path:
    """A path that strace wrote in hexadecimal."""
    return Path(os.fsdecode(decoded(text)))


def watch(what: str, root: Path, folder: Path, *more: object) -> list[Call]:
    """Run a victim of ``support.power_victims`` to its end; skips where that can't be watched.

    Args:
        what: it keeps.
        root: a folder that is there for good.
        folder: of the victim, somewhere below the root.
        more: arguments of the victim.

    Returns:
        What it said, and did below the root.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = root / "trace"
    program = [sys.executable, "-m", "support.power_victims", what, str(folder), *map(str, more)]
    done = subprocess.run(
        ["strace", "-y", "-xx", "-s", "1000000", "-o", str(trace), "-e", f"trace={TRACED}", *program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr:
        pytest.skip("no program may be traced here")
    assert done.returncode == 0, done.stderr
    with trace.open(encoding="ascii") as lines:
        calls = [call for line in lines if (call := Call.parse(line)) is not None]
    return [call for call in calls if call.is_report or any(path.is_relative_to(root) for path in call.paths)]


@dataclass(slots=True)
class File:
    """Bytes that are synced, and what happened to them since: written at a position, or cut to a length."""

    synced: bytes = b""
    since: list[tuple[int, bytes | None]] = field(default_factory=list)

    def length(self) -> int:
        """As the program sees it."""
        length = len(self.synced)
        for position, data in self.since:
            length = position if data is None else max(length, position + len(data))
        return length

    def sync(self) -> None:
        """Bring all of it onto the disk."""
        content = bytearray(self.synced)
        for position, data in self.since:
            _change(content, position, data)
        self.synced, self.since = bytes(content), []

    def after_a_cut(self, rng: random.Random, share: float, *, scrambled: bool) -> bytes:
        """What may be found; ``share`` as in ``Disk.cut``."""
        content = bytearray(self.synced)
        for position, data in self.since:
            if data is None:
                if rng.random() < share:
                    _change(content, position, None)
                continue
            start = position
            while start < position + len(data):
                end = min((start // SECTOR + 1) * SECTOR, position + len(data))
                if rng.random() < share:
                    _change(content, start, data[start - position : end - position])
                elif scrambled:
                    _change(content, start, rng.randbytes(end - start))
                start = end
        return bytes(content)


def _change(content: bytearray, position: int, data: bytes | None) -> None:
    content.extend(bytes(max(position - len(content), 0)))
    if data is None:
        del content[position:]
    else:
        content[position : position + len(data)] = data


FOLDER = None
GONE: File = File()
Names: TypeAlias = "dict[Path, File | None]"
"""Files by path; a folder is None."""


@dataclass(slots=True)
class Disk:
    """Files and folders below one that is there for good."""

    names: Names = field(default_factory=dict)
    synced: Names = field(default_factory=dict)
    since: list[Names] = field(default_factory=list)
    positions: dict[int, int] = field(default_factory=dict)

    def do(self, call: Call) -> None:
        """Do what the program had done.

        Raises:
            AssertionError: it is not known what such a call does to a disk.
        """
        path = call.paths[0]
        match call.name:
            case "openat":
                self._open(call, path)
            case "mkdir":
                self._rename({path: FOLDER})
            case "unlink":
                self._rename({path: GONE})
            case "rename":
                self._rename({call.paths[1]: self.names[path], path: GONE})
            case "fsync" | "fdatasync":
                self._sync(path)
            case "write" | "pwrite64":
                file = self._file(path)
                plain = call.name == "write"
                position = self.positions[call.descriptor] if plain else call.last_number
                self.positions[call.descriptor] += len(call.data) if plain else 0
                file.since.append((position, call.data))
            case "ftruncate":
                self._file(path).since.append((call.last_number, None))
            case _:
                raise AssertionError(f"no model of {call.name}({call.arguments[:200]})")

    def _open(self, call: Call, path: Path) -> None:
        if "O_CREAT" in call.arguments and path not in self.names:
            self._rename({path: File()})
        file = self.names.get(path)
        if file is not None and "O_TRUNC" in call.arguments:
            file.since.append((0, None))
        self.positions[call.descriptor] = file.length() if file is not None and "O_APPEND" in call.arguments else 0

    def _file(self, path: Path) -> File:
        file = self.names[path]
        assert file is not None
        return file

    def _rename(self, change: Names) -> None:
        self.since.append(change)
        _rename(self.names, change)

    def _sync(self, path: Path) -> None:
        file = self.names.get(path)
        if file is not None:
            file.sync()
            return
        later = []
        for change in self.since:
            if any(name.parent == path for name in change):
                _rename(self.synced, change)
            else:
                later.append(change)
        self.since = later

    def cut(self, rng: random.Random, share: float, *, scrambled: bool = False) -> dict[Path, bytes | None]:
        """Files and folders (None) as they may be found.

        Args:
            rng: decides what is lost.
            share: of what was not synced, so much has reached the disk by chance: from 0, nothing, to 1, all.
            scrambled: a sector that was not synced may hold anything, rather than what was there before.
        """
        names = dict(self.synced)
        for change in self.since:
            if rng.random() < share:
                _rename(names, change)
        found: dict[Path, bytes | None] = {}
        for path, file in sorted(names.items()):
            above = [parent for parent in path.parents if parent in self.names]
            if not all(parent in names for parent in above):
                continue  # its folder was lost
            if file is None:
                found[path] = None
            elif path.name.endswith(MAPPED):
                found[path] = rng.randbytes(file.length() or SECTOR)
            else:
                found[path] = file.after_a_cut(rng, share, scrambled=scrambled)
        return found


def _rename(names: Names, change: Names) -> None:
    for path, node in change.items():
        if node is GONE:
            names.pop(path, None)
        else:
            names[path] = node


def restore(found: dict[Path, bytes | None], origin: Path, folder: Path) -> None:
    """Write what was found after a cut, with one folder in the place of another."""
    for path, content in found.items():
        place = folder / path.relative_to(origin)
        if content is None:
            place.mkdir()
        else:
            place.write_bytes(content)
