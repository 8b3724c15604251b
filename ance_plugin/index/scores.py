"""Scores that do not depend on what else is asked for, and the best of them.

A product of matrices adds up in another order for another number of queries, and so ends in another
last digit; here each inner product is taken for itself.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

type Best = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Scores and rows of one query, shape (m,) both, best first, equal scores by row."""

_ROWS_GATHERED_AT_ONCE = 4096
_ROWS_IN_CACHE = 512
_SCORES_AT_ONCE = 2**26  # 256 MiB in each thread that searches


def score_all(
    queries: NDArray[np.float32], vectors: NDArray[np.floating], k: int
) -> Iterator[Best]:
    """Score every vector for each query, several queries while a block of rows is in the cache.

    Args:
        queries: Shape (q, d).
        vectors: Shape (n, d), float32 or float16, one at least.
        k: Rows a query, at least 1.

    Yields:
        For each query the k best, and those that tie with the last of them.
    """
    rows = np.arange(len(vectors))
    step = max(_SCORES_AT_ONCE // len(rows), 1)
    for first in range(0, len(queries), step):
        group = queries[first : first + step]
        scores = np.empty((len(group), len(rows)), dtype=np.float32)
        for start in range(0, len(rows), _ROWS_IN_CACHE):
            part = slice(start, start + _ROWS_IN_CACHE)
            block = np.asarray(vectors[part], np.float32)
            scores[:, part] = np.vecdot(block[np.newaxis], group[:, np.newaxis])
        for own in scores:
            yield keep_best(own, rows, k)


def keep_best(scores: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> Best:
    """Order by score, then row, and keep the first k and those that tie with the last.

    Args:
        scores: Shape (m,).
        rows: Theirs, shape (m,).
        k: How many to keep, at least 1.
    """
    if len(scores) > k:
        is_kept = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        scores, rows = scores[is_kept], rows[is_kept]
    order = np.lexsort((rows, -scores))
    return scores[order], rows[order]


def score_rows(
    query: NDArray[np.float32], vectors: NDArray[np.floating], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Give float32 inner products, the same for a row whatever others are asked for.

    Args:
        query: Shape (d,).
        vectors: Shape (n, d), float32 or float16.
        rows: Which of them, shape (m,).
    """
    scores = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), _ROWS_GATHERED_AT_ONCE):
        part = slice(start, start + _ROWS_GATHERED_AT_ONCE)
        scores[part] = np.vecdot(np.asarray(vectors[rows[part]], np.float32), query)
    return scores
