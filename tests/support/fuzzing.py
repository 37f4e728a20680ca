"""Throwing made-up input at what reads the world's: good input that was damaged, and whatever comes."""

from __future__ import annotations

import gc
import json
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from ser_agent.metrics import resident_mb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ANY = st.characters(exclude_categories=())
"""Half of a surrogate pair included, which JSON can name and UTF-8 cannot write."""
BATCH = 500
"""Examples between two looks at the memory."""


@dataclass(frozen=True, slots=True, repr=False)
class Target:
    """What is thrown at, and with what.

    Attributes:
        name: of it.
        inputs: what is thrown.
        swallow: takes one input; raises where anything but a documented error comes of it.
    """

    name: str
    inputs: st.SearchStrategy[Any]
    swallow: Callable[[Any], None]


def damaged(good: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Good input with some of it overwritten, cut out or put in; now and then just bytes."""
    edit = st.tuples(st.integers(0, 4096), st.integers(0, 9), st.binary(max_size=9))
    return st.one_of(
        st.builds(_damage, st.sampled_from(good), st.lists(edit, min_size=1, max_size=6)), st.binary(max_size=512)
    )


def damaged_json(good: Iterable[dict[str, Any]]) -> st.SearchStrategy[bytes]:
    """JSON objects of which some values are others, of any kind; and damaged ones."""
    known = list(good)
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(ANY, max_size=80),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(ANY, max_size=5), inner, max_size=3),
        max_leaves=6,
    )
    keys = st.sampled_from(sorted({key for fields in known for key in fields})) | st.text(ANY, max_size=8)
    changed = st.builds(
        lambda fields, other: _dumped({**fields, **other}),
        st.sampled_from(known),
        st.dictionaries(keys, values, max_size=3),
    )
    return changed | damaged([_dumped(fields) for fields in known])


def attack(target: Target, examples: int, number: int) -> None:
    """Throw so many inputs; the number makes them others each time."""

    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(target.inputs)
    def throw(thrown: Any) -> None:  # noqa: ANN401 - whatever the target takes
        target.swallow(thrown)

    throw()


def besiege(target: Target, duration_s: float) -> tuple[int, list[float]]:
    """Throw inputs for so long.

    Returns:
        How many, and the resident memory in MiB after each ``BATCH`` of them.
    """
    logging.disable(logging.CRITICAL)  # what pytest keeps of it would be the growth that is found
    try:
        weights: list[float] = []
        until_s = time.monotonic() + duration_s
        while time.monotonic() < until_s:
            attack(target, BATCH, number=len(weights))
            gc.collect()
            weights.append(resident_mb() or 0.0)
        return BATCH * len(weights), weights
    finally:
        logging.disable(logging.NOTSET)


def _damage(good: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    data = bytearray(good)
    for place, length, instead in edits:
        start = place % (len(data) + 1)
        data[start : start + length] = instead
    return bytes(data)


def _dumped(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()
