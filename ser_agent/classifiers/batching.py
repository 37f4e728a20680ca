"""Which sounds go through a model together. Pure: needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_agent.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST_TO_SHORTEST = 1.5
"""Sounds that differ more are not padded to one another: computing on padding costs more than batching saves."""

MAX_BATCH_SAMPLES = 60 * SAMPLE_RATE
"""Memory of a batch is bounded; a single longer sound goes alone."""


def batches(lengths: Sequence[int], most: int, *, may_pad: bool) -> Iterator[list[int]]:
    """Group sounds of like length.

    Args:
        lengths: samples of each sound.
        most: how many may go together.
        may_pad: whether padding changes no answer; otherwise only sounds of the same length go together.

    Yields:
        Indices of sounds that go together; each index occurs once.
    """
    ratio = LONGEST_TO_SHORTEST if may_pad else 1.0
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        length = lengths[index]
        full = len(batch) >= most or (len(batch) + 1) * length > MAX_BATCH_SAMPLES
        if batch and (full or length > ratio * lengths[batch[0]]):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
