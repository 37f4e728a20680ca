"""The virtual microphone for the tests that capture."""

from support.pulse import pulse

__all__ = ["pulse"]
