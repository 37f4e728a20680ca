"""Text from outside. JSON and file names can hold half of a surrogate pair, which UTF-8 cannot write."""

from __future__ import annotations


def is_writable(text: str) -> bool:
    """Whether a text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
