"""The virtual microphone of a daemon under test."""

from __future__ import annotations

from support.pulse import pulse

__all__ = ["pulse"]
