"""What outlives the process: a few facts in one small file, which is replaced as a whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

Facts: TypeAlias = "Mapping[str, Any]"
"""Plain JSON values by name."""

MAX_BYTES = 65_536
"""A longer file is none of ours."""


def state_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Where state is kept: systemd's ``StateDirectory=``, else XDG's state home; None where there is neither."""
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given)
    home = environ.get("XDG_STATE_HOME") or (f"{environ['HOME']}/.local/state" if environ.get("HOME") else "")
    return Path(home, "ser-agent") if home else None


def make_folder(folder: Path) -> None:
    """Make a folder that is this user's alone, where there is none, and those above it; no power cut undoes that.

    Raises:
        OSError: it cannot be made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(OSError):  # one may make a folder where one may not look
        _sync(folder.parent)


def state_file(config_file: Path, folder: Path | None) -> StateFile:
    """The state of the agent that a configuration file describes: another file is another agent."""
    if folder is None:
        log.warning("neither STATE_DIRECTORY nor HOME is set: nothing outlives this process")
        return StateFile()
    return StateFile(_path_of(config_file, folder))


def state_of_another(config_file: Path, folder: Path | None) -> StateFile:
    """Where an agent that may be running has its state, none of which is touched."""
    state = StateFile()
    state.path = None if folder is None else _path_of(config_file, folder)
    return state


def _path_of(config_file: Path, folder: Path) -> Path:
    mark = hashlib.sha256(bytes(config_file.resolve())).hexdigest()[:8]
    return folder / f"{config_file.stem}-{mark}.json"


class StateFile:
    """Facts by section. Whatever is wrong with the file is told once, and then facts live as long as the process.

    A lock keeps a second process with the same configuration file from using the same state.

    Attributes:
        path: the file, beside which others of this process alone may be kept; None where nothing outlives it.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Read what there is.

        Args:
            path: the file; None for facts that end with the process.
        """
        self._lock = threading.Lock()
        self._guard: int | None = None
        self._sections: dict[str, Facts] = {}
        self._saved = True
        self.path = path if path is None or self._claim(path) else None

    def read(self, section: str) -> Facts:
        """The facts of a section; none where there are none."""
        with self._lock:
            return self._sections.get(section, {})

    def write(self, section: str, facts: Facts) -> None:
        """Replace a section, in the file too; nothing happens where it says so already."""
        with self._lock:
            if self._sections.get(section, {}) == facts and self._saved:
                return
            self._sections[section] = dict(facts)
            if self.path is None:
                return
            try:
                _replace(self.path, json.dumps(self._sections, ensure_ascii=False, indent=1))
                self._saved = True
            except OSError as error:
                self._saved = False
                log.warning("%s cannot be written, so this ends with the process: %s", self.path, _reason(error))

    def close(self) -> None:
        """Let another process use the file. May be called more than once."""
        if self._guard is not None:
            os.close(self._guard)
            self._guard = None

    def _claim(self, path: Path) -> bool:
        lock = path.with_suffix(".lock")
        try:
            make_folder(path.parent)
            self._guard = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("another agent uses %s: this one remembers nothing", path)
        except OSError as error:
            log.warning("%s cannot be used, so nothing outlives this process: %s", lock, _reason(error))
            self._sections = _read(path)  # a disk that is full or read-only must not lift a mute
        else:
            self._sections = _read(path)
            return True
        self.close()
        return False


def _read(path: Path) -> dict[str, Facts]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        log.warning("%s cannot be read, the defaults hold: %s", path, _reason(error))
        return {}
    try:
        sections = json.loads(text[:MAX_BYTES])
        if isinstance(sections, dict) and all(isinstance(facts, dict) for facts in sections.values()):
            return sections
        fault = "it does not hold sections of facts"
    except (ValueError, RecursionError) as error:
        fault = str(error)
    aside = path.with_suffix(".broken")
    with contextlib.suppress(OSError):
        path.replace(aside)
    log.warning("%s is broken, the defaults hold; it is kept as %s: %s", path, aside.name, fault)
    return {}


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync(path.parent)  # else a power cut may bring the old file back


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
