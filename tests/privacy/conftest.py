"""The virtual microphone of an agent under test."""

from __future__ import annotations

from support.pulse import pulse

__all__ = ["pulse"]
