"""What holds for the plan of a batch's chunks and for how ranks share it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ance_plugin.train.batches import Batch
from ance_plugin.train.chunks import assign_chunks, list_texts, plan_chunks

TEXTS = st.lists(st.integers(1, 20), min_size=1, max_size=12)
quickly = settings(max_examples=60, deadline=None, derandomize=True)


def make_batch(queries, documents):
    """A batch of texts of these lengths; each of ``documents`` lists the lengths of its pieces."""
    return Batch(
        queries=[np.arange(length) for length in queries],
        documents=[[np.arange(length) for length in pieces] for pieces in documents],
        positives=np.zeros(len(queries), dtype=np.int64),
        negatives=np.zeros((len(queries), 0), dtype=np.int64),
        bias=np.zeros((len(queries), len(documents)), dtype=np.float32),
    )


def plan(batch, chunk_tokens=32):
    return plan_chunks(list_texts(batch), len(batch.queries), chunk_tokens=chunk_tokens)


def test_texts_are_queries_then_pieces():
    """Each document's pieces are found by position; what fills up is masked."""
    texts = list_texts(make_batch([3, 4], [[5], [6, 7, 8], [9]]))

    assert [len(row) for row in texts.tokens] == [3, 4, 5, 6, 7, 8, 9]
    assert texts.piece_mask.tolist() == [[True, False, False], [True] * 3, [True, False, False]]
    assert texts.pieces[texts.piece_mask].tolist() == [2, 3, 4, 5, 6]
    assert texts.pieces.dtype == np.int64
    assert texts.pieces.max() < len(texts.tokens)


def test_document_without_text_is_named():
    """It has no score, and the maximum over nothing would be minus infinity."""
    with pytest.raises(ValueError, match="document 1 of the batch has no piece of text"):
        list_texts(make_batch([3], [[5], [], [2]]))


@quickly
@given(queries=TEXTS, documents=st.lists(TEXTS, min_size=1, max_size=6), limit=st.integers(1, 60))
def test_each_text_is_in_one_chunk_of_its_side(queries, documents, limit):
    """Queries are never padded to the length of documents."""
    batch = make_batch(queries, documents)
    texts = list_texts(batch)
    chunks = plan_chunks(texts, len(queries), chunk_tokens=limit)

    placed = [int(place) for chunk in chunks for place in chunk.places]
    assert sorted(placed) == list(range(len(texts.tokens)))
    for chunk in chunks:
        longest = max(len(texts.tokens[place]) for place in chunk.places)
        assert {place < len(queries) for place in chunk.places} == {chunk.side == "query"}
        assert chunk.num_tokens == longest * len(chunk.places)
        assert chunk.num_tokens <= limit or len(chunk.places) == 1


def test_chunks_are_numbered_within_their_side():
    """The number is part of dropout's seed: another size of queries leaves documents' masks."""
    few = plan(make_batch([5], [[20], [20], [20]]))
    many = plan(make_batch([30, 30, 30], [[20], [20], [20]]))

    numbers = [(chunk.side, chunk.number) for chunk in few]
    assert numbers == [("query", 0), ("document", 0), ("document", 1), ("document", 2)]
    assert [(c.side, c.number) for c in many if c.side == "document"] == numbers[1:]


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_ranks_share_all_chunks(world_size):
    """None twice, none left; a rank may have nothing to do."""
    chunks = plan(make_batch([8, 9], [[20], [19], [11], [10]]))
    shares = assign_chunks(chunks, world_size)

    assert len(shares) == world_size
    places = sorted(int(p) for share in shares for chunk in share for p in chunk.places)
    assert places == list(range(6))
    assert all(
        list(map(id, share)) == [id(c) for c in chunks if id(c) in set(map(id, share))]
        for share in shares
    )


def test_ranks_have_about_as_many_tokens():
    """Largest chunk first, to the rank with the least: 30 | 20 + 10 and not 30 + 10 | 20."""
    chunks = plan(make_batch([10], [[30], [20]]), chunk_tokens=1)

    loads = [sum(chunk.num_tokens for chunk in share) for share in assign_chunks(chunks, 2)]
    assert loads == [30, 30]
