"""Exact search finds what numpy finds by sorting all inner products."""

import numpy as np
import pytest

from ance_plugin.index import exact
from ance_plugin.index.exact import search_exactly


def draw(seed, *shape):
    """Draw small integers, whose inner products are exact in every order of summation."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(np.float32)


def search_by_sorting(queries, vectors, k):
    """Rank all rows of each query, ties by row."""
    scores = queries @ vectors.T
    rows = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, rows, 1), rows


@pytest.mark.parametrize("sizes", [[40], [1, 39], [7, 0, 20, 13], [1] * 40], ids=str)
@pytest.mark.parametrize("k", [1, 5, 40])
def test_hits_are_those_of_sorting(sizes, k):
    """However the vectors are divided into blocks, also where a block has fewer than k."""
    vectors = np.random.default_rng(0).standard_normal((40, 16)).astype(np.float32)
    queries = np.random.default_rng(1).standard_normal((6, 16)).astype(np.float32)
    blocks = np.split(vectors, np.cumsum(sizes)[:-1])

    scores, rows = search_exactly(queries, blocks, k)

    expected_scores, expected_rows = search_by_sorting(queries, vectors, k)
    assert np.array_equal(rows, expected_rows)
    assert np.allclose(scores, expected_scores, atol=1e-5)
    assert (scores.dtype, rows.dtype) == (np.float32, np.int64)


def test_k_above_the_number_of_rows_gives_all():
    """There are min(k, n) hits."""
    queries, vectors = draw(0, 2, 8), draw(1, 5, 8)

    scores, rows = search_exactly(queries, [vectors[:2], vectors[2:]], 9)

    assert scores.shape == rows.shape == (2, 5)
    assert np.sort(rows, axis=1).tolist() == [[0, 1, 2, 3, 4]] * 2


def test_equal_scores_come_by_row():
    """Hits that tie stand in the order of their rows, across blocks too."""
    queries = np.array([[1.0, 0.0]], np.float32)
    vectors = np.array([[1, 0], [2, 5], [1, 7], [2, 9], [1, 1]], np.float32)

    scores, rows = search_exactly(queries, [vectors[:1], vectors[1:3], vectors[3:]], 5)

    assert rows.tolist() == [[1, 3, 0, 2, 4]]
    assert scores.tolist() == [[2.0, 2.0, 1.0, 1.0, 1.0]]


def test_ties_at_the_end_keep_the_scores():
    """Which of the rows that tie with the last is left open; the scores are not."""
    queries = np.ones((1, 1), np.float32)
    vectors = np.array([[3], [1], [1], [1]], np.float32)

    scores, rows = search_exactly(queries, [vectors[:2], vectors[2:]], 2)

    assert scores.tolist() == [[3.0, 1.0]]
    assert rows[0, 0] == 0
    assert rows[0, 1] in (1, 2, 3)


def test_float16_vectors_are_computed_in_float32():
    """Sums beyond what float16 holds are right."""
    vectors = np.full((3, 64), 200, np.float16) * np.array([[1], [2], [3]], np.float16)
    queries = np.full((1, 64), 100, np.float32)

    scores, rows = search_exactly(queries, [vectors], 2)

    assert rows.tolist() == [[2, 1]]
    assert scores.tolist() == [[64 * 600 * 100.0, 64 * 400 * 100.0]]


@pytest.mark.parametrize("num_queries", [1, 3, 4, 10])
def test_groups_of_queries_change_nothing(monkeypatch, num_queries):
    """Queries are searched three at a time here, and each gets its own hits."""
    monkeypatch.setattr(exact, "_QUERIES_AT_ONCE", 3)
    queries, vectors = draw(2, num_queries, 12), draw(3, 30, 12)

    scores, rows = search_exactly(queries, [vectors[:11], vectors[11:]], 30)

    expected_scores, expected_rows = search_by_sorting(queries, vectors, 30)
    assert np.array_equal(rows, expected_rows)
    assert np.array_equal(scores, expected_scores)


def test_blocks_are_read_one_by_one():
    """Blocks may come from a generator; none is asked for before the one before was searched."""
    alive = []

    def read():
        for start in (0, 10, 20):
            alive.append(start)
            yield draw(start, 10, 4)

    _, rows = search_exactly(draw(5, 2, 4), read(), 3)

    assert alive == [0, 10, 20]
    assert rows.max() >= 10


@pytest.mark.parametrize(
    ("num_queries", "blocks"),
    [(0, [(5, 4)]), (2, []), (2, [(0, 4)]), (0, [])],
    ids=["no queries", "no blocks", "an empty block", "nothing"],
)
def test_nothing_to_search_gives_no_hits(num_queries, blocks):
    """There are as many rows as queries, each with as many hits as there can be."""
    vectors = [np.zeros(shape, np.float32) for shape in blocks]
    width = min(3, sum(map(len, vectors)))

    scores, rows = search_exactly(np.zeros((num_queries, 4), np.float32), vectors, 3)

    assert scores.shape == rows.shape == (num_queries, width)


def test_wrong_arguments_are_named():
    """A k below 1, and vectors of another encoder."""
    queries = np.zeros((1, 4), np.float32)

    with pytest.raises(ValueError, match="k must be at least 1, found 0"):
        search_exactly(queries, [], 0)
    with pytest.raises(ValueError, match="queries have 4 dimensions, the vectors 5"):
        search_exactly(queries, [np.zeros((2, 5), np.float32)], 1)
