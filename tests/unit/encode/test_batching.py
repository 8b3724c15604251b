"""What holds for batches of texts of like length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ance_plugin.encode.batching import pad, plan_batches

LENGTHS = st.lists(st.integers(0, 40), max_size=50)
quickly = settings(max_examples=100, deadline=None, derandomize=True)


@quickly
@given(lengths=LENGTHS, max_texts=st.integers(1, 8), max_tokens=st.integers(1, 100))
def test_each_text_is_in_exactly_one_batch(lengths, max_texts, max_tokens):
    """None is lost and none encoded twice."""
    batches = plan_batches(lengths, max_texts=max_texts, max_tokens=max_tokens)

    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert all(len(batch) for batch in batches)


@quickly
@given(lengths=LENGTHS, max_texts=st.integers(1, 8), max_tokens=st.integers(1, 100))
def test_batches_keep_both_limits(lengths, max_texts, max_tokens):
    """Padding counts; a text beyond the limit is a batch of its own."""
    for batch in plan_batches(lengths, max_texts=max_texts, max_tokens=max_tokens):
        num_tokens = len(batch) * max(lengths[place] for place in batch)
        assert len(batch) <= max_texts
        assert num_tokens <= max_tokens or len(batch) == 1


@quickly
@given(lengths=LENGTHS)
def test_longest_come_first(lengths):
    """A batch too large for the memory shows at once; equal lengths keep their order."""
    batches = plan_batches(lengths, max_texts=4, max_tokens=100)

    order = [int(place) for batch in batches for place in batch]
    assert order == sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([], []),
        ([5], [1]),
        ([1, 1, 1, 1, 1], [3, 2]),
        ([10, 1, 10], [2, 1]),
        ([21, 10, 10, 3], [1, 2, 1]),
        ([0, 0, 0, 0], [3, 1]),
    ],
)
def test_batches_are_as_large_as_they_may_be(lengths, sizes):
    """At most three texts and twenty tokens here."""
    batches = plan_batches(lengths, max_texts=3, max_tokens=20)

    assert [len(batch) for batch in batches] == sizes


def test_rows_are_padded_at_the_right():
    """To the longest, with the value given; the mask tells tokens from padding."""
    ids, mask = pad([[5, 6, 7], [8], []], 1)

    assert ids.tolist() == [[5, 6, 7], [8, 1, 1], [1, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert ids.dtype == mask.dtype == np.int64


def test_padding_value_among_the_tokens_is_a_token():
    """The mask looks at lengths, not at values."""
    _, mask = pad([[1, 1], [1]], 1)

    assert mask.tolist() == [[1, 1], [1, 0]]
