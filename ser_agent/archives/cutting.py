"""From a recording's sound to utterances: the whole as one, or cut as the agent cuts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_agent.audio import SAMPLE_RATE, AudioFrame, Utterance
from ser_agent.errors import AudioFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ser_agent.audio import Samples
    from ser_agent.endpointing import Endpointer
    from ser_agent.segmenter import SegmenterOutput


def as_one(samples: Samples) -> Utterance:
    """A whole recording as one utterance.

    Args:
        samples: int16 mono 16 kHz, shape ``(n,)``.
    """
    return Utterance(samples, 0, "end_of_stream", captured_at=0.0, closed_at=len(samples) / SAMPLE_RATE)


def cut(
    blocks: Iterable[Samples], endpointer: Endpointer, fail: Callable[[AudioFileError], None]
) -> Iterator[SegmenterOutput]:
    """Cut one recording into utterances.

    Args:
        blocks: its sound from its start, int16 mono 16 kHz, shape ``(n,)`` each.
        endpointer: what cuts; it may have cut others before.
        fail: is told where the recording cannot be read on; what was heard before that still counts.

    Yields:
        What the endpointer decided, in the order of time.
    """
    offset = 0
    try:
        for samples in blocks:
            yield from endpointer.feed(
                AudioFrame(samples, offset, offset / SAMPLE_RATE, starts_stream=offset == 0)
            )
            offset += len(samples)
    except AudioFileError as error:
        fail(error)
    yield from endpointer.finish("end_of_stream")
