"""One tree of errors. Each class says which exit code it means and whether trying again can help.

Exit codes follow ``sysexits.h``: 78 is a configuration that a person must mend (systemd must not
restart on it), 69 is a part that cannot be had at the moment, 70 is a bug, and 75 asks systemd to start the agent
again.
"""

from __future__ import annotations

from typing import ClassVar

EX_OK = 0
EX_UNAVAILABLE = 69
EX_SOFTWARE = 70
EX_RESTART = 75
EX_CONFIG = 78


class SerAgentError(Exception):
    """Base of all errors that a user is meant to read: one message, no traceback."""

    exit_code: ClassVar[int] = EX_SOFTWARE
    retry_helps: ClassVar[bool] = False


class ConfigError(SerAgentError):
    """The configuration is wrong: the message names file, line and key."""

    exit_code = EX_CONFIG


class PluginError(ConfigError):
    """A plugin was asked for that is not installed, or that cannot be imported."""


class UnavailableError(SerAgentError):
    """A device, model, broker or file cannot be had."""

    exit_code = EX_UNAVAILABLE
    retry_helps = True


class MissingExtraError(UnavailableError):
    """A part was asked for whose packages are not installed."""

    retry_helps = False

    def __init__(self, part: str, extra: str, missing: str) -> None:
        """Say which extra brings what ``part`` needs.

        Args:
            part: what was asked for, for example ``"the wav2vec2 classifier"``.
            extra: name of the extra of this distribution.
            missing: the module that could not be imported.
        """
        super().__init__(
            f"{part} needs the package {missing!r}, which is not installed: pip install 'ser-agent[{extra}]'"
        )


class SourceError(UnavailableError):
    """An audio source cannot be opened or read: the message names it and the reason."""


class SourceLost(SourceError):  # noqa: N818 - the design's name for it: an occurrence, not a mistake
    """A source that had been delivering frames stopped: the device went away or hangs."""


class AudioFileError(SourceError):
    """A file holds no audio that can be used: the message names file and reason."""

    retry_helps = False


class ModelError(UnavailableError):
    """A model cannot be had, or would silently give wrong answers."""

    retry_helps = False


class ClassificationError(SerAgentError):
    """One utterance could not be classified; the agent counts it as failed and goes on."""


class SinkError(UnavailableError):
    """A sink cannot be opened or did not take an event: the message names it and the reason."""
