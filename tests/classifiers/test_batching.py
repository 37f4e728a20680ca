"""Which sounds go through a model together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ser_agent.audio import SAMPLE_RATE
from ser_agent.classifiers.batching import LONGEST_TO_SHORTEST, MAX_BATCH_SAMPLES, batches

LENGTHS = st.lists(st.integers(1, 70 * SAMPLE_RATE), max_size=40)


@given(LENGTHS, st.integers(1, 9), st.booleans())
def test_each_sound_goes_once(lengths: list[int], most: int, may_pad: bool) -> None:  # noqa: FBT001
    grouped = list(batches(lengths, most, may_pad=may_pad))
    assert sorted(index for batch in grouped for index in batch) == list(range(len(lengths)))


@given(LENGTHS, st.integers(1, 9))
def test_a_batch_is_bounded_in_number_and_in_samples(lengths: list[int], most: int) -> None:
    for batch in batches(lengths, most, may_pad=True):
        longest = max(lengths[index] for index in batch)
        assert len(batch) <= most
        assert len(batch) == 1 or len(batch) * longest <= MAX_BATCH_SAMPLES
        assert longest <= LONGEST_TO_SHORTEST * min(lengths[index] for index in batch)


@given(st.lists(st.sampled_from([100, 101, 5000]), max_size=40))
def test_without_padding_only_equal_lengths_go_together(lengths: list[int]) -> None:
    for batch in batches(lengths, 8, may_pad=False):
        assert len({lengths[index] for index in batch}) == 1


def test_sounds_of_like_length_go_together() -> None:
    lengths = [32_000, 16_000, 33_000, 160_000, 17_000]
    assert list(batches(lengths, 8, may_pad=True)) == [[1, 4], [0, 2], [3]]
