"""Exact search by scoring every vector, with which fast searches are compared."""

import numpy as np


def draw(seed, num_rows, dimension, *, spread=1.0, mean=0.0):
    rng = np.random.default_rng(seed)
    return (mean + spread * rng.standard_normal((num_rows, dimension))).astype(np.float32)


def search_slowly(queries, vectors, k):
    """Score every vector; the k best and those that tie with the last, ties by row."""
    found = []
    for query in queries:
        scores = np.vecdot(vectors.astype(np.float32), query)
        order = np.lexsort((np.arange(len(scores)), -scores))
        order = order[scores[order] >= scores[order[min(k, len(scores)) - 1]]]
        found.append((scores[order], order))
    return found


def assert_same(found, expected):
    for (scores, rows), (expected_scores, expected_rows) in zip(found, expected, strict=True):
        assert rows.tolist() == expected_rows.tolist()
        assert np.array_equal(scores, expected_scores)
        assert scores.dtype == np.float32
