"""A topic's candidates: every document of its lists, with score and rank in each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ance_plugin.ranking import order, rank
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
    docids = sorted({hit.docid for hits in heads for hit in hits})
    position = {docid: column for column, docid in enumerate(docids)}
    scores = np.full((len(heads), len(docids)), np.nan)
    ranks = np.zeros((len(heads), len(docids)), dtype=np.int64)
    for row, hits in enumerate(heads):
        columns = [position[hit.docid] for hit in hits]
        if len(set(columns)) < len(columns):
            raise ValueError(f"list {row + 1} holds a document twice; each may be there once")
        scores[row, columns] = [hit.score for hit in hits]
        if not np.isfinite(scores[row, columns]).all():
            raise ValueError(f"list {row + 1} holds a score that is NaN or infinite")
        ranks[row, columns] = np.arange(1, len(hits) + 1)
    return Pool(docids, scores, ranks, np.array([len(hits) for hits in heads], dtype=np.int64))


def best_hits(pool: Pool, scores: NDArray[np.float64], k: int) -> list[Hit]:
    """Rank the pool by fused scores, shape (n,), and keep the first ``k``.

    Canonical scores are in the order of float32 ones, and equal where these are, so the best are
    chosen among these, which is much faster.
    """
    with np.errstate(over="ignore"):  # the ordering refuses what is no float32
        values = scores.astype(np.float32)
    best = np.argsort(values, kind="stable")[::-1][:k]  # docids ascend: ties too are in order
    return rank([pool.docids[column] for column in best.tolist()], values[best])
