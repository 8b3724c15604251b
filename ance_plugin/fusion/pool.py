"""A topic's candidates: every document of its lists, with score and rank in each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ance_plugin.ranking import canonical_scores, make_hits, order
from ance_plugin.records import Hit


@dataclass(frozen=True)
class Pool:
    """The documents of r lists, pooled.

    Attributes:
        docids: The n documents, ascending.
        scores: Shape (r, n), float64, as the lists gave them; NaN where a list lacks the document.
        ranks: Shape (r, n), int64, from 1; 0 where a list lacks the document.
        sizes: Shape (r,), int64: hits of each list.
    """

    docids: list[str]
    scores: NDArray[np.float64]
    ranks: NDArray[np.int64]
    sizes: NDArray[np.int64]


def pool_hits(lists: Sequence[Sequence[Hit]], depth: int) -> Pool:
    """Pool the first ``depth`` hits of each list; ranks are by ``ranking.order``.

    Args:
        lists: Hits in any order, possibly none.
        depth: Hits to take from the top of each list.

    Returns:
        The pool; without documents if no list has hits.

    Raises:
        ValueError: A list holds a document twice, or a score that is not finite.
    """
    heads = [order(hits)[:depth] for hits in lists]
    found = [[docid for docid, _ in hits] for hits in heads]
    docids = sorted(set().union(*found))
    column_of = dict(zip(docids, range(len(docids)), strict=True)).__getitem__
    scores = np.full((len(heads), len(docids)), np.nan)
    ranks = np.zeros((len(heads), len(docids)), dtype=np.int64)
    for row, hits in enumerate(heads):
        columns = np.fromiter(map(column_of, found[row]), np.int64, len(hits))
        own = np.array([score for _, score in hits])
        if not np.isfinite(own).all():
            raise ValueError(f"list {row + 1} holds a score that is NaN or infinite")
        scores[row, columns] = own
        ranks[row, columns] = np.arange(1, len(hits) + 1)
        if np.count_nonzero(ranks[row]) < len(hits):
            raise ValueError(f"list {row + 1} holds a document twice; each may be there once")
    return Pool(docids, scores, ranks, np.array([len(hits) for hits in heads], dtype=np.int64))


def best_hits(pool: Pool, scores: NDArray[np.float64], k: int) -> list[Hit]:
    """Rank the pool by fused scores, shape (n,), and keep the first ``k``.

    Canonical scores are in the order of float32 ones, and equal where these are, so the best are
    chosen and ordered among these, which is much faster.
    """
    with np.errstate(over="ignore"):  # the ordering refuses what is no float32
        values = scores.astype(np.float32)
    best = np.argsort(values, kind="stable")[::-1][:k]  # docids ascend: ties too are in order
    docids = map(pool.docids.__getitem__, best.tolist())
    return make_hits(docids, canonical_scores(values[best]).tolist())
