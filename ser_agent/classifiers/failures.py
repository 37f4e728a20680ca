"""What libraries say of a checkpoint that is broken, in one message of ours."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ser_agent.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def plainly(name: str) -> Iterator[None]:
    """Turn the libraries' many ways of failing on a broken checkpoint into one message.

    Args:
        name: of the checkpoint.

    Raises:
        ModelError: it cannot be loaded; the message says why.
    """
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"model {name}: it cannot be loaded: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message, else its kind."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
